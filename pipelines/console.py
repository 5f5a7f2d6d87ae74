"""``lifecycle``: the commands of all packages in one group, for an installation without a checkout."""

import click

from pipelines.__main__ import cli as pipelines
from registry.__main__ import cli as registry
from registry.cli.commands import Group, run
from serving.__main__ import cli as serving

#: The commands by what they are for; each package's own group has them too.
SECTIONS = {"Models": pipelines, "Registry": registry, "Serving": serving}


class Lifecycle(Group):
    """A group whose help lists its commands in sections."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands of each section, with the first line of what they do."""
        for title, group in SECTIONS.items():
            limit = formatter.width - 6 - max(map(len, group.commands))
            with formatter.section(title):
                formatter.write_dl([(name, one.get_short_help_str(limit)) for name, one in group.commands.items()])


@click.group(cls=Lifecycle, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="model-lifecycle", prog_name="lifecycle")
def cli() -> None:
    """Train models, take them through the registry's gates, and serve or deploy them."""


for _group in SECTIONS.values():
    for _name, _command in _group.commands.items():
        cli.add_command(_command, _name)


def main() -> None:
    """Run the program."""
    run(cli)
