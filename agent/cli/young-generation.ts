import { setFlagsFromString } from 'node:v8';

/**
 * Keeps V8's young generation at the megabyte that it begins with. Node.js 24 lets it grow to 64 MiB with the
 * traffic and does not give it back; what an agent allocates lives for one message, and a young generation that
 * fits into the processor's cache makes it faster as well as smaller (docs/BENCHMARKS.md, "Start-up and memory").
 *
 * To be imported before everything else: what has grown stays.
 */
setFlagsFromString('--semi-space-growth-factor=1');
