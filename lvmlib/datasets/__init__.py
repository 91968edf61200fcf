"""Where image sets come from: files embedded in the package, and complete sets through torchvision."""
