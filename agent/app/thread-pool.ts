/**
 * Gives libuv's thread pool eight threads instead of four, unless the environment sets a number. Calls of agent/native
 * occupy up to six of them; the others read files and resolve names.
 *
 * It must be imported before everything else, because libuv reads the variable when the pool is first used.
 */
process.env['UV_THREADPOOL_SIZE'] ??= '8';
