"""Reports of an evaluation: a page for people, JSON and CSV for programs, text for terminals."""

from bev_perception.evaluation.report.html_file import report_html
from bev_perception.evaluation.report.json_file import read_results, results_json
from bev_perception.evaluation.report.runs import run_title
from bev_perception.evaluation.report.terminal import summary_text
from bev_perception.evaluation.report.write import write_report

__all__ = [
    'read_results',
    'report_html',
    'results_json',
    'run_title',
    'summary_text',
    'write_report',
]
