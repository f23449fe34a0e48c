import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url));

/**
 * A file or a command as a page of docs/ has it: the first block of code behind its mention. Tests run what users copy.
 *
 * @param page name of the page: `CLIENTS.md`
 * @param path of the file, or beginning of the command, as the page has it between backticks
 * @throws Error when the page has none
 */
export async function documentedFile(page: string, path: string): Promise<string> {
  const text = await readFile(`${DOCS}${page}`, 'utf8');
  const at = text.indexOf(`\`${path}\``);
  const [, block] = /```[a-z]*\n(.*?)\n```/s.exec(at < 0 ? '' : text.slice(at)) ?? [];
  if (block === undefined) throw new Error(`docs/${page} has no block for ${path}`);
  return `${block}\n`;
}
