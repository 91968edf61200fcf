"""How nbgrader runs this course: where things are, what students get, and how a submission is executed."""

c = get_config()  # noqa: F821 - nbgrader defines it

c.CourseDirectory.course_id = "latent-variable-models"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "course"

# nbgrader hands out every file of a lab's folder that is not ignored here: with these globs, the notebook alone.
c.CourseDirectory.ignore = [".ipynb_checkpoints", "__pycache__", "*.[!i]*"]

c.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
c.ClearSolutions.text_stub = "*Write your answer here.*"

# A mark scheme stands in the locked question above the answer, so that the marker sees it there in formgrader.
c.ClearMarkScheme.enforce_metadata = False

c.OverwriteCells.add_missing_cells = True

c.Execute.timeout = 300
c.Execute.shutdown_kernel = "immediate"
c.Execute.extra_arguments = ["--log-level=ERROR", "--HistoryManager.hist_file=:memory:"]

# Feedback shows neither hidden tests nor mark schemes.
c.GenerateFeedback.preprocessors = [
    "nbgrader.preprocessors.GetGrades",
    "nbgrader.preprocessors.ClearHiddenTests",
    "nbgrader.preprocessors.ClearMarkScheme",
    "lvmlib.grading.nbgrader_feedback.ShortenTracebacks",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]
