/** The simplest proxy in Node: `node naive-proxy.ts PORT ORIGIN`. */
import { createServer, get } from 'node:http';
import { pipeline } from 'node:stream/promises';

const [port, origin = ''] = process.argv.slice(2);

createServer((req, res) => {
  const { range } = req.headers;
  get(
    `${origin}${req.url ?? ''}`,
    { headers: range === undefined ? {} : { range } },
    (upstream) => {
      res.writeHead(upstream.statusCode ?? 502, upstream.headers);
      pipeline(upstream, res).catch(() => {
        res.destroy();
      });
    },
  ).once('error', () => {
    res.destroy();
  });
}).listen(Number(port));
