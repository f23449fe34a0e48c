import { setFlagsFromString } from 'node:v8';

/**
 * Keeps V8's heap as small as what an agent does allows. To be imported before everything else: what has grown stays.
 *
 * The young generation stays at the megabyte that it begins with. Node.js 24 lets it grow to 64 MiB with the
 * traffic and does not give it back; what an agent allocates lives for one message, and a young generation that
 * fits into the processor's cache makes it faster as well as smaller (docs/BENCHMARKS.md, "Start-up and memory").
 */
setFlagsFromString('--semi-space-growth-factor=1');

// The old one is collected when it has grown by half, not to four times of what is in use: requests that wait for
// peers outlive the young generation, and some hundred misses a second were 90 MiB of garbage.
setFlagsFromString('--heap-growing-percent=50');
