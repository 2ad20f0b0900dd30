"""From tokens to text: whole characters, and nothing from a stop string on."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from steersman_server.answers.detokenizer import MAX_HELD, Detokenizer, decode
from steersman_server.answers.stop_strings import StopStrings

TEXT = st.text("ab€😀", max_size=12)


def pieces(tokenizer, token_ids):
    detokenizer = Detokenizer(tokenizer)
    return [*(detokenizer.push(token) for token in token_ids), detokenizer.flush()]


def test_the_pieces_of_a_text_are_the_text(tiny_tokenizer):
    for text in ["", "plain", "é€😀", "👩‍👩‍👧 naïve\n\ttext", "\ufffd", "a\ufffdb", " ,  don't ."]:
        token_ids = tiny_tokenizer.encode(text, add_special_tokens=False)
        assert "".join(pieces(tiny_tokenizer, token_ids)) == text


def test_a_character_comes_when_its_last_token_does(tiny_tokenizer):
    token_ids = tiny_tokenizer.encode("a€b", add_special_tokens=False)
    assert pieces(tiny_tokenizer, token_ids) == ["a", "", "", "€", "b", ""]


def test_special_tokens_have_no_text(tiny_tokenizer):
    first, *rest = tiny_tokenizer.encode("€", add_special_tokens=False)
    assert pieces(tiny_tokenizer, [first, tiny_tokenizer.eos_token_id, *rest]) == ["", "", "", "€", ""]


@given(st.lists(st.integers(0, 255), max_size=40))
def test_any_bytes_give_what_decoding_them_at_once_gives(tiny_tokenizer, data):
    special = len(tiny_tokenizer.all_special_ids)
    token_ids = [byte + special for byte in data]
    assert "".join(pieces(tiny_tokenizer, token_ids)) == decode(tiny_tokenizer, token_ids)


def test_tokens_that_never_make_a_character_are_not_held_for_ever(tiny_tokenizer):
    (first, *_) = tiny_tokenizer.encode("€", add_special_tokens=False)
    given_out = pieces(tiny_tokenizer, [first] * 5 * MAX_HELD)
    assert sum(map(len, given_out[:-1])) >= 4 * MAX_HELD
    assert "".join(given_out) == "\ufffd" * 5 * MAX_HELD


def until_stop(parts, stops):
    stop = StopStrings(stops)
    out = []
    for part in parts:
        out.append(stop.push(part))
        if stop.found:
            return "".join(out), True
    return "".join(out) + stop.flush(), False


def test_a_stop_string_over_several_pieces_ends_the_text():
    assert until_stop(["a\n", "\nUs", "er", ": b"], ["\n\nUser:"]) == ("a", True)


def test_the_start_of_a_stop_string_that_does_not_go_on_is_text():
    assert until_stop(["a\n", "\nUs", "able"], ["\n\nUser:"]) == ("a\n\nUsable", False)


def test_a_piece_that_may_start_a_stop_string_is_held_back():
    stop = StopStrings(["END"])
    assert [stop.push("xE"), stop.push("N"), stop.push("E")] == ["x", "", "EN"]


@given(TEXT, st.lists(TEXT.filter(bool), min_size=1, max_size=4), st.lists(st.integers(0, 12), max_size=5))
def test_how_a_text_is_cut_does_not_matter(text, stops, cuts):
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    parts = [text[a:b] for a, b in pairwise(edges)]
    ends = [n for n in range(len(text) + 1) if any(text[:n].endswith(stop) for stop in stops)]
    if ends:  # the text before the longest stop string that ends first
        size = max(len(stop) for stop in stops if text[: ends[0]].endswith(stop))
        assert until_stop(parts, stops) == (text[: ends[0] - size], True)
    else:
        assert until_stop(parts, stops) == (text, False)
