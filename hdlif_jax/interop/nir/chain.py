"""The nodes of a graph that is one after the other."""

import graphlib

import nir


def chain_of(graph: nir.NIRGraph, name: str = "") -> list[tuple[str, nir.NIRNode]]:
    """Names and nodes from the one Input to the one Output, both included; graphs within are opened.

    Args:
      graph: of nodes and edges.
      name: of the graph in the one that it is part of.

    Raises:
      ValueError: nodes that branch, join, recur or are not reached, edges of none, or several inputs or outputs.
    """
    where = f"the graph {name!r}" if name else "the graph"
    follows: dict[str, list[str]] = {node: [] for node in graph.nodes}
    precedes: dict[str, list[str]] = {node: [] for node in graph.nodes}
    for source, reader in graph.edges:
        for end in (source, reader):
            if end not in graph.nodes:
                raise ValueError(f"{where} has an edge of {end!r}, and no such node")
        follows[source].append(reader)
        precedes[reader].append(source)
    try:
        graphlib.TopologicalSorter(precedes).prepare()
    except graphlib.CycleError as error:
        cycle = " → ".join(map(repr, error.args[1]))
        raise ValueError(f"{where} is recurrent, {cycle}; only graphs without cycles can be read") from None
    for kind in (nir.Input, nir.Output):
        found = [node for node, what in graph.nodes.items() if isinstance(what, kind)]
        if len(found) != 1:
            raise ValueError(
                f"{where} has {len(found)} {kind.__name__} nodes, {found}; only graphs with one can be read"
            )
    for node in graph.nodes:
        for others, does in ((follows[node], "feeds"), (precedes[node], "adds up")):
            if len(others) > 1:
                names = " and ".join(map(repr, others))
                raise ValueError(f"node {node!r} {does} {names}; only graphs of one node after the other can be read")
    at = next(node for node, what in graph.nodes.items() if isinstance(what, nir.Input))
    path = [at]
    while follows[at]:
        (at,) = follows[at]
        path.append(at)
    if not isinstance(graph.nodes[at], nir.Output):
        raise ValueError(f"node {at!r} feeds nothing, and is no Output")
    if unreached := [node for node in graph.nodes if node not in path]:
        raise ValueError(f"node {unreached[0]!r} is not reached from the Input")
    chain: list[tuple[str, nir.NIRNode]] = []
    for node in path:
        inner = graph.nodes[node]
        full = f"{name}.{node}" if name else node
        chain += chain_of(inner, full)[1:-1] if isinstance(inner, nir.NIRGraph) else [(full, inner)]
    return chain
