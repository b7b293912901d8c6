// SPDX-License-Identifier: BSD-3-Clause
// Graphs: instantiated, launched and replayed in an order that their dependencies allow.
#include "graphs.h"

#include <stdio.h>

#include <algorithm>

#include "kernels.h"
#include "order.h"

namespace emulator {

namespace {
std::set<Graph *> graphs;
struct Executable {
    std::shared_ptr<const Graph> graph;
};
std::set<Executable *> executables;
}  // namespace

Graph *new_graph(Graph graph) { return *graphs.insert(new Graph(std::move(graph))).first; }

// "now" and "main": as it was captured. "late": the last node that can run, the farthest from that. A seed: any.
void replay(const Graph &graph) {
    int n = (int)graph.nodes.size();
    std::vector<int> missing(n), ready;
    std::vector<std::vector<int>> next(n);
    for (int i = 0; i < n; i++) {
        missing[i] = (int)graph.nodes[i].after.size();
        for (int before : graph.nodes[i].after) next[before].push_back(i);
        if (!missing[i]) ready.push_back(i);
    }
    while (!ready.empty()) {
        size_t at = order() == Order::LATE ? ready.size() - 1 : order() == Order::DRAWN ? draw(ready.size()) : 0;
        int node = ready[at];
        ready.erase(ready.begin() + at);
        perform(graph.nodes[node].task);
        for (int i : next[node])
            if (!--missing[i]) ready.insert(std::lower_bound(ready.begin(), ready.end(), i), i);
    }
}

static CudaError instantiate(Executable **out, Graph *graph) {
    if (!graphs.count(graph)) return cudaErrorInvalidValue;
    *out = *executables.insert(new Executable{std::make_shared<const Graph>(*graph)}).first;
    return cudaSuccess;
}

static CudaError launch(Executable *executable, void *handle) {
    auto stream = stream_of(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (!executables.count(executable)) return cudaErrorInvalidValue;
    count(GRAPH_LAUNCHES);
    return enqueue(*stream, {"a graph", stream->device, 0, [graph = executable->graph] { replay(*graph); }});
}

static CudaError print(const Graph &graph, const char *path) {
    FILE *file = fopen(path, "w");
    if (!file) return cudaErrorOperatingSystem;
    fprintf(file, "digraph dot {\n");
    for (size_t i = 0; i < graph.nodes.size(); i++) {
        fprintf(file, "\"%zu\" [label=\"%s\"];\n", i, graph.nodes[i].task.name);
        for (int before : graph.nodes[i].after) fprintf(file, "\"%d\" -> \"%zu\";\n", before, i);
    }
    fprintf(file, "}\n");
    fclose(file);
    return cudaSuccess;
}

}  // namespace emulator

using namespace emulator;

extern "C" {
EMULATOR_API CudaError cudaGraphInstantiate(Executable **out, Graph *graph, unsigned long long flags) {
    if (flags) return (not_emulated("cudaGraphInstantiate with flags"), fail(cudaErrorNotSupported));
    return call([&] { return instantiate(out, graph); });
}
// Nothing needs to be uploaded before a launch.
EMULATOR_API CudaError cudaGraphUpload(Executable *executable, void *) {
    return call([&] { return executables.count(executable) ? cudaSuccess : cudaErrorInvalidValue; });
}
EMULATOR_API CudaError cudaGraphLaunch(Executable *executable, void *stream) {
    return call([&] { return launch(executable, stream); });
}
EMULATOR_API CudaError cudaGraphDestroy(Graph *graph) {
    return call([&] {
        if (!graphs.erase(graph)) return cudaErrorInvalidValue;
        delete graph;
        return cudaSuccess;
    });
}
// A launch that is queued keeps what it runs.
EMULATOR_API CudaError cudaGraphExecDestroy(Executable *executable) {
    return call([&] {
        if (!executables.erase(executable)) return cudaErrorInvalidValue;
        delete executable;
        return cudaSuccess;
    });
}
EMULATOR_API CudaError cudaGraphDebugDotPrint(Graph *graph, const char *path, unsigned) {
    return call([&] { return graphs.count(graph) ? print(*graph, path) : cudaErrorInvalidValue; });
}
}
