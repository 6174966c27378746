#!/usr/bin/env python3
"""validate.py SCHEMA FILE...: holds JSON and YAML files against a JSON Schema.

A second opinion for tests: the schemas are not judged by the program that writes them. Prints what is
wrong, a line each, and ends with 1 if anything is. Needs the packages jsonschema and PyYAML.
"""

import json
import re
import sys

import jsonschema
import yaml


class Loader(yaml.SafeLoader):
    """YAML 1.2 as editors read it: a date is a text, and so are `on` and `yes`."""


TEXTS = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in TEXTS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
BOOL = re.compile("^(?:true|True|TRUE|false|False|FALSE)$")
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", BOOL, list("tTfF"))


def main(schema_path, paths):
    with open(schema_path, encoding="utf-8") as file:
        schema = json.load(file)
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    validator = kind(schema, format_checker=kind.FORMAT_CHECKER)
    wrong = 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            document = yaml.load(file, Loader)
        for error in validator.iter_errors(document):
            # Of the alternatives of a list or one value, the one that came nearest.
            error = jsonschema.exceptions.best_match([error])
            place = "/".join(str(part) for part in error.absolute_path)
            print(f"{path}: {place}: {error.message[:300]}")
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
