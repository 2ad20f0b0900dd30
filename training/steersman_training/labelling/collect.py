"""The one pass over the documents: what every feature does on every token, kept sparse on disk.

The forward pass is what costs; its result, the activations above zero, is a thousandth of the residual
stream and is kept whole, sorted by feature, one file for some documents. So h_max is known before an
example is drawn, every draw is uniform over its whole stratum, and every count below is exact.
"""

from collections.abc import Iterator

import numpy as np
import torch

from steersman_engine.host import HostModel
from steersman_engine.prompt import Kind, Prompt
from steersman_engine.sae import SAE
from steersman_engine.sinks import is_sink
from steersman_training.documents import Document
from steersman_training.labelling.corpus import Corpus
from steersman_training.labelling.stage import packed_arrays
from steersman_training.residuals import residuals

PART_DOCUMENTS = 64


def num_parts(corpus: Corpus) -> int:
    """How many parts the pass over `corpus` has."""
    return -(-len(corpus.documents) // PART_DOCUMENTS)


def part_tokens(corpus: Corpus, number: int) -> slice:
    """Which tokens of the corpus a part covers."""
    first = number * PART_DOCUMENTS
    last = min(first + PART_DOCUMENTS, len(corpus.documents))
    return slice(int(corpus.starts[first]), int(corpus.starts[last]))


@torch.no_grad()
def collect_part(
    host: HostModel, sae: SAE, corpus: Corpus, number: int, *, sink_norm: float, batch_tokens: int
) -> bytes:
    """What fires in one part's documents.

    Columns: `counted` `[tokens]`, False at sinks; `feature_starts` `[d_sae + 1]`; `where` (from the
    part's first token, ascending within a feature) and `value` `[firings]`, sorted by feature.
    """
    span = part_tokens(corpus, number)
    counted = np.ones(span.stop - span.start, bool)
    parts = []
    for document, resid in residuals(host, list(_documents(corpus, number)), batch_tokens=batch_tokens):
        begin = int(corpus.starts[document.index]) - span.start
        sink = is_sink(resid, sink_norm)
        counted[begin : begin + len(resid)] = ~sink.cpu().numpy()
        feature_acts = sae.encode(resid.float()).masked_fill(sink[:, None], 0)
        at, feature = feature_acts.nonzero(as_tuple=True)
        value = feature_acts[at, feature].float()
        parts.append([t.cpu().numpy() for t in (feature, at + begin, value)])
    feature, where, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((where, feature))
    counts = np.bincount(feature, minlength=sae.d_sae)
    return packed_arrays(
        {
            "counted": counted,
            "feature_starts": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            "where": where[order].astype(np.int32),
            "value": value[order].astype(np.float32),
        }
    )


def _documents(corpus: Corpus, number: int) -> Iterator[Document]:
    first = number * PART_DOCUMENTS
    for index in range(first, min(first + PART_DOCUMENTS, len(corpus.documents))):
        span = slice(corpus.starts[index], corpus.starts[index + 1])
        kinds = tuple(Kind(kind) for kind in corpus.kind[span].tolist())
        prompt = Prompt(tuple(corpus.token[span].tolist()), tuple(corpus.role[span].tolist()), kinds)
        yield Document(index, corpus.documents[index], prompt)
