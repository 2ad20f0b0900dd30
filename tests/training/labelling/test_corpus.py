"""Which documents explain, choose and score."""

import numpy as np

from steersman_training.labelling.corpus import Corpus, split_of


def corpus(*documents: str) -> Corpus:
    """One token a document."""
    empty = np.zeros(len(documents), np.uint8)
    return Corpus(list(documents), np.arange(len(documents) + 1), empty.astype(np.int32), empty, empty)


def test_parts_of_a_conversation_are_on_one_side() -> None:
    assert len({split_of(f"QWJhYvA_{part}") for part in range(50)}) == 1


def test_numbered_chats_are_conversations_of_their_own() -> None:
    assert {split_of(f"chat_{number}") for number in range(50)} == {0, 1, 2}


def test_documents_know_their_conversation() -> None:
    first, other, second = corpus("QWJhYvA_0", "chat_1", "QWJhYvA_7").conversation.tolist()
    assert first == second != other
