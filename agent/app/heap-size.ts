import { setFlagsFromString } from 'node:v8';

/**
 * Keeps V8's heap small. It must be imported before everything else, because a generation that has grown does not
 * shrink.
 *
 * The young generation keeps its initial size of 1 MiB. By default, Node.js 24 lets it grow to 64 MiB under traffic and
 * never shrinks it. Most allocations of an agent live for one message. A young generation that fits into the
 * processor's cache is faster as well as smaller (docs/BENCHMARKS.md, "Start-up and memory").
 */
setFlagsFromString('--semi-space-growth-factor=1');

// V8 collects the old generation once it has grown by half; by default it waits for up to four times the live memory.
// Requests that wait for peers outlive the young generation: a few hundred misses a second left 90 MiB of garbage.
setFlagsFromString('--heap-growing-percent=50');
