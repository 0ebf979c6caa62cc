"""`modelwatch route`, `promote` and `export`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwatch.domain.routing import RegisteredModel, Routing
from modelwatch.errors import InvalidInputError, ModelwatchError, NoModelError
from modelwatch_cli.console import console, count_of, error_console, print_json, print_table
from modelwatch_cli.options import model_option
from modelwatch_cli.settings import Settings

if TYPE_CHECKING:
    from modelwatch.adapters.registries import Registry

_JSON = typer.Option("--json", help="print the result as JSON")
_NOW = typer.Option("--now", help="wait until every environment serves it")
_MODEL = model_option("a model of MODELS; by default MODEL_NAME")


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    for command in (route, promote, export):
        app.command()(command)


def route(
    weights: Annotated[
        list[str] | None, typer.Argument(help="shares, such as champion=90 challenger=10")
    ] = None,
    shadow: Annotated[
        list[str] | None,
        typer.Option("--shadow", help="alias whose predictions are captured but not returned"),
    ] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="let MODEL_ALIAS serve all requests again")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="only show the routing")] = False,
    model_name: Annotated[str | None, _MODEL] = None,
    now: Annotated[bool, _NOW] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Distribute requests among aliases: A/B tests, canaries and shadows.

    Without arguments, shows the routing. Requests with the same routing_key stay with one alias.
    """
    settings = _settings_of(model_name)
    routing = parse_routing(weights or [], shadow or [], settings.model_alias)
    if (routing is not None) + clear + show > 1:
        raise InvalidInputError("", "give either shares and shadows, or --clear, or --show")
    registry = _registry(settings)
    name = settings.model_name
    model = registry.model(name)
    if routing or clear:
        if settings.model_stage:
            raise InvalidInputError("MODEL_STAGE", "models served by stage have no routing")
        if routing:
            refuse_unknown_aliases(model, routing)
        if routing != model.routing:
            registry.route(name, routing)
            model = registry.model(name)
        _in_force(settings, model_name, now, as_json)
    _print_routing(model, settings.model_alias, as_json)


def promote(
    version: Annotated[str, typer.Argument(help="version of the registered model")],
    alias: Annotated[
        str | None, typer.Option("--alias", help="alias to move; by default MODEL_ALIAS")
    ] = None,
    least: Annotated[
        list[str] | None,
        typer.Option("--least", help="smallest value of a metric of its run, such as f1=0.8"),
    ] = None,
    max_drop: Annotated[
        list[str] | None,
        typer.Option("--max-drop", help="largest loss against the served version, such as f1=0.02"),
    ] = None,
    model_name: Annotated[str | None, _MODEL] = None,
    now: Annotated[bool, _NOW] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Move an alias to a version of the model, forward or back.

    --least and --max-drop may be repeated. If the version's training measured less, it is
    refused with exit status 1, and nothing changes.

    With MODEL_STAGE set, the version moves into that stage, and the versions in it are archived.
    """
    settings = _settings_of(model_name)
    name, stage = settings.model_name, settings.model_stage
    target = alias or settings.model_alias
    registry = _registry(settings)
    model = registry.model(name)
    by_stage = bool(stage) and alias is None
    before = model.in_stage(stage) if by_stage else model.aliases.get(target)
    if least or max_drop:
        from modelwatch_cli.serving.gate import hold_version_to

        hold_version_to(registry, name, version, before, least or (), max_drop or ())
    if by_stage:
        registry.to_stage(name, version, stage)
    else:
        registry.promote(name, target, version)
    not_served = why_not_served(model, settings, alias)
    if not_served:
        (error_console if as_json else console).print(not_served, markup=False)
    else:
        _in_force(settings, model_name, now, as_json, {target: version})
    if as_json:
        moved = {"stage": stage} if by_stage else {"alias": target}
        outcome = {"model_name": name, **moved, "version": version, "before": before}
        print_json({**outcome, "serves": not not_served})
        return
    subject = f"stage '{stage}'" if by_stage else f"alias '{target}'"
    was = f", which was at version {before}" if before and before != version else ""
    console.print(f"{name}: {subject}{was}, is at version {version}", markup=False)


def export(
    version: Annotated[str, typer.Argument(help="version of the registered model")],
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            help="CSV or Parquet file of training rows, for a version without reference data",
        ),
    ] = None,
    model_name: Annotated[str | None, _MODEL] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Add an ONNX form to an existing version, if it predicts the same as the original.

    They are compared on the version's reference data. With --reference, this is `modelwatch adopt
    --verify-onnx`: a version that was logged with plain MLflow gets these rows as its reference
    data, even without an ONNX form.
    """
    settings = _settings_of(model_name)
    out = error_console if as_json else console
    with out.status("importing mlflow") as status:
        if reference is not None:
            _adopt(settings, version, reference, status.update, as_json)
            return
        from modelwatch_cli.serving.export import add_onnx

        exported = add_onnx(settings, version, status.update)
    if as_json:
        print_json(exported)
        return
    checked = exported.onnx.verification
    console.print(
        f"{exported.model_name} version {version} has a verified ONNX form of "
        f"{exported.onnx.payload_bytes / 1e6:.1f} MB: same prediction on "
        f"{count_of(checked.rows, 'row')}, "
        f"within {checked.max_difference:.1g}"
    )


def _adopt(
    settings: Settings, version: str, reference: Path, step: Callable[[str], None], as_json: bool
) -> None:
    from modelwatch_cli.training.adopt import say
    from modelwatch_training.adoption import adopt

    name = settings.model_name
    adopted = adopt(settings, name, version, reference, verify_onnx=True, step=step)
    if as_json:
        print_json(adopted)
    else:
        say(adopted, reference, asked_for_onnx=True)


def parse_routing(weights: list[str], shadows: list[str], alias: str) -> Routing | None:
    """Read shares such as ``champion=90``; without shares, ``alias`` serves with the shadows.

    Raises InvalidInputError when a share cannot be read, or they make no routing.

    Examples
    --------
    >>> parse_routing(["champion=90", "challenger=10"], [], "production").weights
    {'champion': 90, 'challenger': 10}
    """
    if not weights and not shadows:
        return None
    shares: dict[str, int] = {}
    for each in weights:
        name, _, share = each.partition("=")
        if not name or not share.isdecimal():
            raise InvalidInputError(each, "is not alias=share, such as champion=90")
        if name in shares:
            raise InvalidInputError(each, "the alias is given twice")
        shares[name] = int(share)
    try:
        return Routing(shares or {alias: 1}, tuple(dict.fromkeys(shadows)))
    except ValueError as error:
        raise InvalidInputError("", str(error)) from None


def why_not_served(model: RegisteredModel, settings: Settings, alias: str | None) -> str:
    """Return why moving ``alias`` (None: the served one) does not change what serves, or "".

    >>> why_not_served(RegisteredModel("wine"), Settings({}), "candidate")
    "What serves has not changed: it follows 'production', not 'candidate' (`modelwatch route`)."
    """
    stage = settings.model_stage
    if alias is None and stage:
        return ""
    if stage:
        return f"What serves has not changed: it follows the stage '{stage}' (MODEL_STAGE)."
    target = alias or settings.model_alias
    followed = model.routing.aliases if model.routing else (settings.model_alias,)
    if target in followed:
        return ""
    names = ", ".join(f"'{each}'" for each in followed)
    return f"What serves has not changed: it follows {names}, not '{target}' (`modelwatch route`)."


def refuse_unknown_aliases(model: RegisteredModel, routing: Routing) -> None:
    """Refuse a routing with aliases that the model does not have.

    Raises NoModelError when it does.
    """
    unknown = [
        alias for alias in (*routing.weights, *routing.shadows) if alias not in model.aliases
    ]
    if unknown:
        known = ", ".join(sorted(model.aliases)) or "none"
        raise NoModelError(
            f"{model.name} has no alias '{unknown[0]}' (it has: {known}); "
            f"`modelwatch promote VERSION --alias {unknown[0]}` makes it"
        )


def _settings_of(model: str | None) -> Settings:
    if model is None:
        return Settings()
    from modelwatch_cli.deployment.cloudformation.calling import serving_settings

    return serving_settings(Settings(), model)


def _registry(settings: Settings) -> Registry:
    from modelwatch.adapters.registries import registry_of

    return registry_of(settings)


def _in_force(
    settings: Settings,
    model: str | None,
    now: bool,
    as_json: bool,
    wanted: Mapping[str, str] | None = None,
) -> None:
    """Print when a change takes effect; with ``now`` wait until predict serves ``wanted``."""
    out = error_console if as_json else console
    if not now:
        seconds = settings.model_refresh_seconds
        out.print(f"Takes effect within {seconds} s of requests; --now applies it at once.")
        return
    from modelwatch import ApiError, Client
    from modelwatch_cli.deployment.cloudformation.calling import find_apis, predict_api

    api = predict_api(find_apis(settings, ["predict"])["predict"], model)
    try:
        with Client(predict=api.url, auth=api.auth) as client:
            variants = client.reload()["variants"]
    except ApiError as error:
        raise ModelwatchError(
            f"the registry was changed, but predict cannot serve the change: {error}"
        ) from error
    served = {alias: variant["model_version"] for alias, variant in variants.items()}
    for alias, version in (wanted or {}).items():
        if served.get(alias) != version:
            found = ", ".join(f"'{each}' at version {number}" for each, number in served.items())
            raise ModelwatchError(
                f"it is set, but the deployed predict API serves {found}: it was "
                "deployed with other settings (MODEL_NAME, MODEL_ALIAS, MODEL_STAGE)"
            )
    out.print("In effect now, in every environment.")


def _print_routing(model: RegisteredModel, alias: str, as_json: bool) -> None:
    routing = model.routing or Routing({alias: 1})
    total = sum(routing.weights.values())
    rows: list[tuple[str, str | None, float, bool]] = [
        (each, model.aliases.get(each), weight / total, False)
        for each, weight in routing.weights.items()
    ]
    rows += [(each, model.aliases.get(each), 0.0, True) for each in routing.shadows]
    if as_json:
        variants = {
            each: {"version": version, "share": share, "shadow": shadow}
            for each, version, share, shadow in rows
        }
        routed = model.routing is not None
        print_json({"model_name": model.name, "routed": routed, "variants": variants})
        return
    print_table(
        ["alias", "version", "share"],
        [
            (each, version or "none", "never (shadow)" if shadow else f"{share:.1%}")
            for each, version, share, shadow in rows
        ],
        title=model.name,
    )
