// Elsewhere the kernel moves bytes in these suites where it can. Here they go through the process.
process.env['PEERGLASS_TEST_DATA_PLANE'] = 'stream';
await import('../peer-transfer.test.ts');
await import('../body/resuming-body.test.ts');
await import('../../mirror/mirror-handler.test.ts');
