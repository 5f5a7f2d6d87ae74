"""MLflow's deployment client for AWS Lambda: what ``mlflow deployments`` and ``get_deploy_client`` call."""

from collections.abc import Callable, Mapping
from typing import Any

import click
from mlflow.deployments import BaseDeploymentClient, PredictionsResponse

from registry.client import settle
from registry.redaction import redacted

from . import aws, commandline, deploying, describing, dryrun, packages, predicting, settings
from .aws import Cloud
from .errors import INVALID_PARAMETER_VALUE, DeploymentError, deployment_errors
from .packages import Package
from .settings import CREATE, DELETE, UPDATE, DeploymentOptions

FLAVOR = "python_function"


class LambdaDeploymentClient(BaseDeploymentClient):
    """Deployments on AWS Lambda, in one region.

    A deployment is a function of the same name, with a published version for every model that it had, and an alias that
    says which of them answers. Its options are in ``mlflow deployments help -t aws-lambda``.

    Parameters
    ----------
    target_uri : ``aws-lambda:/eu-central-1``, or ``aws-lambda`` for the region of the environment.
    connect : from a region to the cloud.
    """

    def __init__(self, target_uri: str, *, connect: Callable[[str], Cloud] = aws.connect):
        super().__init__(target_uri)
        # Whatever of MLflow is called from here waits no longer than the platform's commands do.
        settle()
        self._named = target_uri.partition(":")[2].strip("/")
        self._connect = connect

    def create_deployment(
        self,
        name: str,
        model_uri: str,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Create a deployment, or finish one that was begun; one that is there as asked for is left as it is.

        Parameters
        ----------
        model_uri : ``models:/NAME/3``, ``models:/NAME@champion``, ``runs:/RUN/model``, or a folder.
        config : the options of ``create``.

        Returns
        -------
        what ``get_deployment`` tells; on a dry run the ``plan``, as lines.

        Raises
        ------
        DeploymentError
            if it is refused or fails; it names what was made.
        """
        region, given = self._begin(CREATE, name, config, flavor, endpoint)
        package = _package(model_uri, name, given)
        if given.dry_run:
            return _planned(name, dryrun.creation(name, region, package, given))
        cloud = self._connect(region)
        with commandline.steps_shown():
            deploying.create(cloud, name, package, given)
        return describing.describe(cloud, name)

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Bring a deployment to another model, to other settings, or back to the version before.

        Parameters
        ----------
        model_uri : None for the model that answers now, or where ``rollback`` is asked for.
        config : the options of ``update``.

        Returns
        -------
        what ``get_deployment`` tells; on a dry run the ``plan``, as lines.

        Raises
        ------
        DeploymentError
            if it is refused or fails, or a trial was taken back.
        """
        region, given = self._begin(UPDATE, name, config, flavor, endpoint)
        if given.rollback and model_uri:
            raise DeploymentError(
                "a rollback returns to the previous version; give no --model-uri", INVALID_PARAMETER_VALUE
            )
        package = _package(model_uri, name, given) if model_uri else None
        if given.dry_run:
            return _planned(name, dryrun.change(name, region, package, given))
        cloud = self._connect(region)
        if given.rollback:
            with commandline.steps_shown():
                deploying.roll_back(cloud, name)
        else:
            package = package or _package(describing.live_model(cloud, name), name, given)
            with commandline.steps_shown():
                deploying.update(cloud, name, package, given, is_current=packages.is_current(model_uri, package))
        return describing.describe(cloud, name)

    def delete_deployment(
        self, name: str, config: Mapping[str, Any] | None = None, endpoint: str | None = None
    ) -> None:
        """Delete a deployment, its versions, and the role that was made for it; one that is gone already is fine.

        Parameters
        ----------
        config : the options of ``delete``.
        """
        region, given = self._begin(DELETE, name, config, None, endpoint)
        if given.dry_run:
            _planned(name, dryrun.deletion(name, region, given))
            return
        with commandline.steps_shown():
            deploying.delete(self._connect(region), name, given)

    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """The deployments of the region: name, model, version, and where the requests go."""
        return describing.listed(self._connect(self._region(endpoint)))

    def get_deployment(self, name: str, endpoint: str | None = None) -> dict[str, Any]:
        """What is to be known of a deployment.

        Raises
        ------
        DeploymentError
            if there is none of that name.
        """
        region = self._region(endpoint)
        return describing.describe(self._connect(region), settings.name(name))

    def predict(
        self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None
    ) -> PredictionsResponse:
        """Ask a deployment.

        Parameters
        ----------
        inputs : a request of the contract as an object or as JSON text; or a DataFrame, an array, a list.

        Returns
        -------
        the contract's answer: ``predictions``, or ``prediction`` to a short form.

        Raises
        ------
        DeploymentError
            if it refuses the request, or fails.
        """
        region = self._region(endpoint)
        content = predicting.body(predicting.given(inputs))
        return PredictionsResponse(predicting.ask(self._connect(region), settings.name(deployment_name), content))

    def explain(
        self, deployment_name: str | None = None, df: Any = None, endpoint: str | None = None
    ) -> PredictionsResponse:
        """Ask a deployment for the terms and reasons of its answers; as ``predict``."""
        region = self._region(endpoint)
        content = predicting.body(predicting.explaining(predicting.given(df)))
        return PredictionsResponse(predicting.ask(self._connect(region), settings.name(deployment_name), content))

    def _begin(
        self, command: str, name: str, config: Mapping[str, Any] | None, flavor: str | None, endpoint: str | None
    ) -> tuple[str, DeploymentOptions]:
        """The region and the options of a command, after all that can be checked without a call."""
        settings.name(name)
        if flavor not in (None, FLAVOR):
            raise DeploymentError(
                f"a model is deployed by its flavor {FLAVOR}, found --flavor {flavor}", INVALID_PARAMETER_VALUE
            )
        return self._region(endpoint), settings.read(command, config)

    def _region(self, endpoint: str | None) -> str:
        if endpoint is not None:
            raise DeploymentError("aws-lambda has no endpoints: give the deployment's --name", INVALID_PARAMETER_VALUE)
        return aws.region(self._named)


def _package(uri: str, name: str, given: DeploymentOptions) -> Package:
    with deployment_errors():
        return packages.plan(uri, name, given)


def _planned(name: str, lines: list[str]) -> dict[str, Any]:
    """Show a plan, and end MLflow's command there: it would go on to say that something was created."""
    lines = [redacted(line) for line in lines]
    for line in lines:
        click.echo(line)
    context = commandline.running()
    if context is not None:
        context.exit(0)
    return {"name": name, "flavor": FLAVOR, "dry_run": True, "plan": lines}
