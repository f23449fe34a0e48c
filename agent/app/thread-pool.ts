/**
 * Gives libuv's thread pool eight threads in the place of four, where nothing else is said: up to six may be in calls
 * of agent/native, and files are read and names resolved on the others.
 *
 * To be imported before everything else: the pool is made at its first use.
 */
process.env['UV_THREADPOOL_SIZE'] ??= '8';
