/**
 * Three servers in front of a registry, as Docker Hub has them: `token-front-main.ts ORIGIN ADDRESS PORT USER`. The registry is
 * at PORT, the token server at the next one, and storage at the one behind that. USER is `name:password` of who gets tokens,
 * or empty for anyone. Prints each request as one line of JSON.
 */
import { randomUUID } from 'node:crypto';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';

import type { TokenFrontRequest } from './token-front.ts';

const [origin = '', address = '', port = '', user = ''] = process.argv.slice(2);
const [tokenPort, storagePort] = [Number(port) + 1, Number(port) + 2];
/** The scope of each token. */
const tokens = new Map<string, string>();

type Answer = (req: IncomingMessage, res: ServerResponse) => void;

function listen(at: TokenFrontRequest['at'], on: number, answer: Answer): void {
  createServer((req, res) => {
    const from = (req.socket.remoteAddress ?? '').replace('::ffff:', '');
    const { method = '', url: path = '', headers } = req;
    res.once('close', () => {
      const line: TokenFrontRequest = {
        ...{ at, from, method, path, status: res.statusCode },
        agent: headers['user-agent'] ?? '',
      };
      process.stdout.write(`${JSON.stringify(line)}\n`);
    });
    answer(req, res);
  }).listen(on);
}

function refuse(res: ServerResponse, status: number, code: string): void {
  const body = JSON.stringify({ errors: [{ code, message: 'as the test wants it' }] });
  res.writeHead(status, { 'Content-Type': 'application/json' }).end(body);
}

function forward(req: IncomingMessage, res: ServerResponse, path: string): void {
  const target = new URL(path, origin);
  const headers: Record<string, string | string[] | undefined> = {
    ...req.headers,
    host: target.host,
  };
  delete headers['authorization'];
  const forwarded = request(target, { method: req.method, headers }, (upstream) => {
    res.writeHead(upstream.statusCode ?? 502, upstream.headers);
    upstream.pipe(res);
  });
  forwarded.on('error', () => res.destroy());
  req.pipe(forwarded);
}

listen('token', tokenPort, (req, res) => {
  if (user !== '' && req.headers.authorization !== `Basic ${btoa(user)}`) {
    refuse(res, 401, 'UNAUTHORIZED');
    return;
  }
  const token = randomUUID();
  tokens.set(token, new URL(req.url ?? '', origin).searchParams.get('scope') ?? '');
  const body = JSON.stringify({ token, expires_in: 300 });
  res.writeHead(200, { 'Content-Type': 'application/json' }).end(body);
});

listen('registry', Number(port), (req, res) => {
  const [, repository = '', kind = ''] =
    /^\/v2\/(.+)\/(manifests|blobs)\//.exec(req.url ?? '') ?? [];
  const scope = `repository:${repository}:pull`;
  if (tokens.get((req.headers.authorization ?? '').replace('Bearer ', '')) !== scope) {
    const realm = `realm="http://${address}:${tokenPort}/token",service="front"`;
    res.setHeader('WWW-Authenticate', `Bearer ${realm},scope="${scope}"`);
    refuse(res, 401, 'UNAUTHORIZED');
  } else if (kind === 'blobs') {
    res.writeHead(307, { Location: `http://${address}:${storagePort}${req.url ?? ''}` }).end();
  } else {
    forward(req, res, req.url ?? '');
  }
});

listen('storage', storagePort, (req, res) => {
  if (req.headers.authorization === undefined) forward(req, res, req.url ?? '');
  else refuse(res, 400, 'InvalidArgument');
});
