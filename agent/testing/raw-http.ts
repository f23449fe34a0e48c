import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** Opens a connection for bytes that no HTTP client would send. */
export async function connectTo(origin: string): Promise<Socket> {
  const { protocol, port } = new URL(origin);
  if (protocol === 'https:') {
    const socket = connectTls({ port: Number(port), host: '127.0.0.1' });
    socket.on('error', () => undefined);
    // A server that has too many connections closes this one before the handshake.
    await new Promise<void>((resolve) => {
      socket.once('secureConnect', resolve).once('close', () => {
        resolve();
      });
    });
    return socket;
  }
  const socket = connect(Number(port), '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

/** Sends raw bytes, and returns all bytes that arrive until the server closes, by FIN or by reset. */
export async function exchange(origin: string, ...parts: readonly string[]): Promise<string> {
  const socket = await connectTo(origin);
  const answer = received(socket);
  for (const part of parts) {
    if (socket.writable) socket.write(part, 'latin1');
  }
  return answer;
}

/** All bytes that arrive until the connection is closed, by either side and in any way. */
export function received(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => undefined);
  return new Promise((resolve) => {
    const end = (): void => {
      resolve(Buffer.concat(chunks).toString('latin1'));
    };
    // A refused connection may have closed before this call.
    if (socket.closed) end();
    else socket.once('close', end);
  });
}

/** One parsed response. */
export interface RawResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

const STATUS_LINE = /^HTTP\/1\.1 (\d{3}) [\x20-\x7e]*$/;
const FIELD_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\x20-\x7e]*)$/;

/**
 * Parses all responses of a connection. Each has a status line, fields of printable characters and a
 * `Content-Length`. Interim responses (1xx) have no body. A response counts as one to a HEAD when the next one
 * follows its head directly.
 *
 * @throws Error that names the part which is not well-formed
 */
export function parseResponses(text: string): RawResponse[] {
  const responses: RawResponse[] = [];
  let rest = text;
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) throw new Error(`a head without end: ${JSON.stringify(rest.slice(0, 200))}`);
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n');
    const status = Number(STATUS_LINE.exec(first)?.[1]);
    if (Number.isNaN(status)) throw new Error(`no status line: ${JSON.stringify(first)}`);
    const headers = new Map<string, string>();
    for (const line of lines) {
      const [, name, value = ''] = FIELD_LINE.exec(line) ?? [];
      if (name === undefined) throw new Error(`no header: ${JSON.stringify(line)}`);
      if (headers.has(name.toLowerCase())) throw new Error(`twice: ${line}`);
      headers.set(name.toLowerCase(), value);
    }
    rest = rest.slice(end + 4);
    if (status < 200) continue;
    const length = headers.get('content-length') ?? '';
    if (!/^\d+$/.test(length)) throw new Error(`no Content-Length: ${first}`);
    const hasBody = rest !== '' && !rest.startsWith('HTTP/1.1 ');
    const body = hasBody ? rest.slice(0, Number(length)) : '';
    if (hasBody && body.length < Number(length)) throw new Error('a body cut short');
    rest = rest.slice(body.length);
    responses.push({ status, headers, body });
  }
  return responses;
}
