"""OpenAI's Node package over a real connection."""


def test_openais_node_package_finds_what_it_expects(run_node, lasting_url, engine):
    assert run_node(lasting_url).count("ok ") == 12
