#!/usr/bin/env python3
"""Builds static HTML of the documents: build.py FOLDER. It needs mkdocs, and no network.

The site has what can be reached from README.md by relative links: pages, and the files that they
name. Each keeps its place, so that a link works in the repository and on the site. The navigation
is the index by task, docs/README.md.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
INDEX = "docs/README.md"
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r" *(```|~~~)")
ITEM = re.compile(r" *([-*+]|\d+\.) ")


def links(page: str, text: str) -> list[str]:
    """Returns the files of the repository that a page links to, by their paths."""
    found = []
    for target in LINK.findall(text):
        path = target.partition("#")[0]
        if path and "://" not in target and not target.startswith(("mailto:", "/")):
            found.append((ROOT / page).parent.joinpath(path).resolve().relative_to(ROOT).as_posix())
    return found


def reachable() -> list[str]:
    """Returns the paths of all files of the site."""
    found = ["README.md"]
    for page in found:
        if page.endswith(".md"):
            for path in links(page, (ROOT / page).read_text()):
                if not (ROOT / path).is_file():
                    sys.exit(f"{page}: {path} is not a file")
                if path not in found:
                    found.append(path)
    return found


def separated(text: str) -> str:
    """Returns Markdown as mkdocs reads it.

    Its Markdown wants a blank line before a list and a table, and the parts of a list's item four
    spaces in. It keeps comments, which mark what tests write.
    """
    lines, shift, fenced = [], 0, False
    for line in text.splitlines():
        if FENCE.match(line):
            fenced = not fenced
            indent = len(line) - len(line.lstrip(" "))
            if fenced:
                shift = 4 - indent if indent in (2, 3) else 0
        elif not fenced:
            indent = len(line) - len(line.lstrip(" "))
            shift = 4 - indent if indent in (2, 3) else 0
            if line.startswith("<!--"):
                line = ""
            before = lines[-1] if lines else ""
            begins = ITEM.match(line) and not before.startswith(" ") and not ITEM.match(before)
            begins = begins or line.startswith("|") and not before.startswith("|")
            if begins and before:
                lines.append("")
        lines.append(" " * shift + line if line else line)
    return "\n".join(lines) + "\n"


def navigation(pages: list[str]) -> list:
    """Returns the parts of the index with their pages, each page once, and the other pages at the end."""
    nav, seen = [{"fxcast": "README.md"}, {"By task": INDEX}], {"README.md", INDEX}
    for heading, part in re.findall(r"\*\*(.+?)\*\*\n(.*?)(?=\n\*\*|\Z)", (ROOT / INDEX).read_text(), re.DOTALL):
        listed = [path for path in dict.fromkeys(links(INDEX, part)) if path in pages and path not in seen]
        seen.update(listed)
        if listed:
            nav.append({heading: listed})
    others = [page for page in pages if page not in seen]
    return nav + ([{"More": others}] if others else [])


def main(folder: str) -> int:
    files = reachable()
    with tempfile.TemporaryDirectory() as staging:
        stage = pathlib.Path(staging)
        for path in [*files, "docs/site/site.css"]:
            target = stage / "pages" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            data = (ROOT / path).read_bytes()
            target.write_bytes(separated(data.decode()).encode() if path.endswith(".md") else data)
        nav = navigation([path for path in files if path.endswith(".md")])
        places = {"docs_dir": str(stage / "pages"), "site_dir": str(pathlib.Path(folder).resolve()), "nav": nav}
        config = (ROOT / "docs/site/mkdocs.yml").read_text()
        for key, value in places.items():
            config += f"{key}: {json.dumps(value)}\n"
        (stage / "mkdocs.yml").write_text(config)
        shutil.copytree(ROOT / "docs/site/theme", stage / "theme")
        return subprocess.run(["mkdocs", "build", "--quiet", "--strict", "--clean", "--config-file", stage / "mkdocs.yml"], check=False).returncode


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
