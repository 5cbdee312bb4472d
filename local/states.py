"""Writes the state machines as they are deployed, for cfn-lint, which reads a definition only where it stands inline.

Run by the Python of `.local/venvs/tools`: it reads the template with cfn-lint's own reader. Each machine is written
twice, as it is on AWS and as it is on the local stack, because numbers differ.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from local import paths
from local.console import Stop, complain

PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9]+)\}")
# What CloudFormation knows and a linter need not: any value of the right form.
PSEUDO_PARAMETERS = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "tieout",
}


class Template:
    """The template, with or without a `LocalEndpoint`."""

    def __init__(self, template: dict[str, Any], local: bool) -> None:
        self.resources: dict[str, dict[str, Any]] = template["Resources"]
        self.parameters: dict[str, dict[str, Any]] = template["Parameters"]
        self.local = local

    def machines(self) -> dict[str, dict[str, Any]]:
        """The state machines, by logical id."""
        return {
            name: resource["Properties"]
            for name, resource in self.resources.items()
            if resource["Type"] == "AWS::Serverless::StateMachine"
        }

    def value(self, expression: Any) -> str:
        """What an expression of the template comes to, as text."""
        match expression:
            case {"Ref": name}:
                return PSEUDO_PARAMETERS.get(name) or str(self.parameters[name]["Default"])
            case {"Fn::GetAtt": [name, "Arn"]} if self.resources[name]["Type"] == "AWS::Serverless::Function":
                return f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
            case {"Fn::If": ["IsAws", on_aws, locally]}:
                return self.value(locally if self.local else on_aws)
            case {"Fn::If": ["HasSpark", _, without]}:
                return self.value(without)
            case {"Fn::Sub": str(text)}:
                return re.sub(r"\$\{([A-Za-z0-9:]+)\}", lambda found: self.value({"Ref": found[1]}), text)
            case str() | int():
                return str(expression)
            case _:
                raise Stop(f"{json.dumps(expression)}: local/states.py cannot tell what this comes to")

    def definition(self, machine: str) -> Any:
        """A machine's definition, after substitution."""
        properties = self.machines()[machine]
        file = paths.ROOT / properties["DefinitionUri"]
        return substituted(file.name, file.read_text(), {
            name: self.value(expression) for name, expression in properties["DefinitionSubstitutions"].items()
        })  # fmt: skip


def substituted(file: str, text: str, values: dict[str, str]) -> Any:
    """Puts the values in, and reads the result; a placeholder without a value, or a value without one, is an error."""
    wanted = set(PLACEHOLDER.findall(text))
    if wanted != values.keys():
        raise Stop(f"{file} and the template disagree on the substitutions {', '.join(sorted(wanted ^ values.keys()))}")
    try:
        return json.loads(PLACEHOLDER.sub(lambda found: values[found[1]], text))
    except json.JSONDecodeError as error:
        raise Stop(f"{file} is no JSON after substitution: {error}") from error


def main() -> int:
    """Writes `.local/lint/<machine>-<place>.json`."""
    from cfnlint.decode import cfn_yaml

    template = cfn_yaml.load(str(paths.TEMPLATE))
    folder = paths.STATE / "lint"
    folder.mkdir(parents=True, exist_ok=True)
    for place in ("aws", "local"):
        deployed = Template(template, local=place == "local")
        for machine in deployed.machines():
            resource = {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "RoleArn": "arn:aws:iam::123456789012:role/any",
                    "Definition": deployed.definition(machine),
                },
            }
            written = folder / f"{machine}-{place}.json"
            written.write_text(json.dumps({"Resources": {machine: resource}}, indent=2))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Stop as reason:
        complain(f"lint: {reason}")
        sys.exit(1)
