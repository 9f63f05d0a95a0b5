"""The configuration: every mistake names its file, its key and the nearest known one."""

from __future__ import annotations

from pathlib import Path

import pytest

from habitue.config import json_schema, resolve
from habitue.errors import UsageError


def shop_file(folder: Path, text: str) -> str:
    path = folder / "shop.yml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def problems(**given: object) -> str:
    with pytest.raises(UsageError) as refusal:
        resolve(**given)  # type: ignore[arg-type]
    assert refusal.value.exit_code == 2
    return str(refusal.value)


def test_later_ones_win_and_origins_are_known(tmp_path: Path) -> None:
    path = shop_file(tmp_path, "shop: {name: Mine, currency: EUR}\nloyal: {percentile: 0.8}\n")
    resolved = resolve(path, ["loyal.percentile=0.9", "cleaning.earliest_date=2001-02-03"], {"warehouse": "w"})
    config = resolved.config
    assert (config.shop.name, config.loyal.percentile, config.warehouse) == ("Mine", 0.9, "w")
    assert str(config.cleaning.earliest_date) == "2001-02-03"
    assert resolved.origins["shop.name"] == path
    assert resolved.origins["loyal.percentile"] == "--set loyal.percentile=0.9"
    assert resolved.origins["warehouse"] == "command line"
    assert resolved.origins["loyal.min_purchase_days"] == "conf/base.yml"


def test_unknown_keys_are_named_with_file_and_nearest(tmp_path: Path) -> None:
    path = shop_file(
        tmp_path, "loyal: {percentil: 0.8}\nsources: {orders: {path: o.csv, delimitr: ';'}}\nsegmnts: {}\n"
    )
    text = problems(path=path)
    assert f"{path}: loyal.percentil: unknown setting (did you mean 'percentile'?)" in text
    assert "sources.orders.delimitr: unknown setting (did you mean 'delimiter'?)" in text
    assert "segmnts: unknown setting (did you mean 'segments'?)" in text
    assert "--set loyal.windw_days=3: loyal.windw_days" in problems(sets=["loyal.windw_days=3"])


def test_values_out_of_range_are_named(tmp_path: Path) -> None:
    path = shop_file(tmp_path, "cleaning: {max_quarantined_share: 5}\nshop: {day_starts_at: '25:00'}\n")
    text = problems(path=path)
    assert "cleaning.max_quarantined_share" in text and "(given: 5)" in text
    assert "shop.day_starts_at" in text and "(given: '25:00')" in text
    text = problems(sets=["shop.time_zone=Europe/Berln"])
    assert "'Europe/Berln' is no IANA time zone (did you mean 'Europe/Berlin'?)" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sources: {ordres: {path: x}}", "unknown source 'ordres' (did you mean 'orders'?)"),
        ("sources: {orders: {}}", "give either `path` (files) or `table`"),
        ("sources: {orders: {path: a, table: b}}", "give either `path` (files) or `table`"),
        ("catalog: main", "`catalog` and `schema` go together"),
        ("- a list", "must hold settings"),
        ("a: [", "is not valid YAML"),
        ("currency_rates: {USD: -1}", "currency_rates.USD"),
        ("cleaning: {max_amount: 1.0e13}", "cleaning.max_amount"),  # more than sums of amounts are exact for
        ("sources: {orders: orders.csv}", "sources.orders: must hold settings (`key: value`) (given: 'orders.csv')"),
        ("sources: [a]", "sources: must hold settings"),
        ("sources: {1: a}", "unknown source '1'"),
        ("source_defaults: 5", "source_defaults: must hold settings (`key: value`) (given: 5)"),
        ("sources: {orders: {path: o, encoding: shift_jis}}", "encoding 'shift_jis' cannot be read"),
        ("sources: {orders: {path: o, format: json, encoding: UTF-16}}", "json in encoding 'UTF-16' cannot be read"),
        ("tracking: {uri: 'https://me:secret@host'}", "set it in the environment"),
    ],
)
def test_other_mistakes(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in problems(path=shop_file(tmp_path, text))


def test_files_and_options_that_are_none(tmp_path: Path) -> None:
    assert "There is no configuration file" in problems(path=str(tmp_path / "none.yml"))
    assert "write --set key.path=value" in problems(sets=["loyal"])
    assert """--set 'source_defaults.decimal=","'""" in problems(sets=["source_defaults.decimal=,"])
    assert resolve(sets=['source_defaults.decimal=","']).config.source_defaults.decimal == ","
    (tmp_path / "latin.yml").write_bytes("shop: {name: Käse}".encode("latin-1"))
    assert "is not in UTF-8" in problems(path=str(tmp_path / "latin.yml"))
    assert resolve(shop_file(tmp_path, "")).config == resolve().config


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    path = shop_file(
        tmp_path,
        "sources: {orders: {path: data/o.csv}, products: {path: s3://b/p.csv}, sends: {path: /s.csv}, "
        "responses: {path: 'dbfs:/r.csv'}}",
    )
    sources = resolve(path, ["sources.customers.path=here.csv"]).config.sources
    assert sources["responses"].path == "dbfs:/r.csv"
    assert sources["orders"].path == str(tmp_path / "data/o.csv")
    assert (sources["products"].path, sources["sends"].path) == ("s3://b/p.csv", "/s.csv")
    assert sources["customers"].path == "here.csv"


def test_sources_take_the_defaults_they_do_not_set(tmp_path: Path) -> None:
    path = shop_file(
        tmp_path, "source_defaults: {delimiter: ';', decimal: ','}\nsources: {orders: {path: o.csv, decimal: '.'}}"
    )
    source = resolve(path).config.sources["orders"]
    assert (source.delimiter, source.decimal, source.encoding) == (";", ".", "UTF-8")


def test_passwords_are_in_no_message() -> None:
    text = problems(sets=["tracking.uri=https://me:secret@host"])
    assert "MLFLOW_TRACKING_PASSWORD" in text and "secret" not in text


def test_fingerprint_tells_settings_apart() -> None:
    same, other = resolve(sets=["loyal.percentile=0.75"]), resolve(sets=["loyal.percentile=0.76"])
    assert resolve().config.fingerprint == same.config.fingerprint != other.config.fingerprint


def test_the_schema_for_editors_asks_for_nothing() -> None:
    schema = json_schema()
    assert {"warehouse", "schema", "sources", "loyal"} <= schema["properties"].keys()
    assert "required" not in schema and "required" not in schema["$defs"]["LoyalSettings"]
    assert schema["$defs"]["LoyalSettings"]["additionalProperties"] is False
