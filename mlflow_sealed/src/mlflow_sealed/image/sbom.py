"""The software bill of materials of an image: CycloneDX, from the environment in the image."""

import json
from typing import Any, Final

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from mlflow_sealed.image import docker

_DESCRIBE: Final = """
import importlib.metadata, json, platform
json.dump({
    "python": platform.python_version(),
    "distributions": [
        {"name": found.name, "version": found.version, "requires": found.requires or [],
         "license": found.metadata["License-Expression"] or ""}
        for found in importlib.metadata.distributions()
    ],
}, __import__("sys").stdout)
"""


def make(container: str, image: str, identity: str) -> str:
    """Return the bill of materials of a running container in CycloneDX's JSON.

    Parameters
    ----------
    container
        The name of the container.
    image
        The name of its image.
    identity
        The image's digest: ``sha256:…``.
    """
    environment = json.loads(docker.ask("exec", container, "python", "-c", _DESCRIBE))
    root = Component(name=image, version=identity, type=ComponentType.CONTAINER, bom_ref=image)
    bom = Bom()
    bom.metadata.component = root
    components = {
        canonicalize_name(one["name"]): _component(one) for one in environment["distributions"]
    }
    python = Component(
        name="python",
        version=environment["python"],
        type=ComponentType.PLATFORM,
        bom_ref="python",
        purl=PackageURL("generic", name="python", version=environment["python"]),
    )
    bom.components.update([python, *components.values()])
    for one in environment["distributions"]:
        component = components[canonicalize_name(one["name"])]
        needs = {components[name] for name in _needs(one["requires"]) if name in components}
        bom.register_dependency(component, sorted(needs))
    bom.register_dependency(root, [python, *sorted(components.values())])
    return JsonV1Dot6(bom).output_as_string(indent=2)


def _component(found: dict[str, Any]) -> Component:
    name, version = canonicalize_name(found["name"]), found["version"]
    licenses = [LicenseFactory().make_from_string(found["license"])] if found["license"] else []
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{name}=={version}",
        purl=PackageURL("pypi", name=name, version=version),
        licenses=licenses,
    )


def _needs(requirements: list[str]) -> set[NormalizedName]:
    """Return the names of what a distribution requires, without its extras."""
    names: set[NormalizedName] = set()
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if "extra" not in str(requirement.marker or ""):
            names.add(canonicalize_name(requirement.name))
    return names
