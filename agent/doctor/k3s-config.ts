import { isMap, parseDocument } from 'yaml';

import { CheckSkippedError } from './report.ts';

/** What k3s takes for true, in YAML 1.1 or as the text of a flag. */
const TRUE = /^(?:true|t|1|y|yes|on)$/i;

/**
 * Whether a config.yaml of k3s switches its embedded mirror on.
 *
 * @param path named in the error
 * @throws CheckSkippedError for a text that is no map in YAML. k3s does not start with it, so nothing follows from it. The
 *   message quotes nothing, because tokens may stand there
 */
export function isEmbeddedRegistryOn(text: string, path: string): boolean {
  const document = parseDocument(text, { uniqueKeys: false, logLevel: 'silent' });
  const [error] = document.errors;
  if (error !== undefined) {
    const [{ line, col } = { line: 1, col: 1 }] = error.linePos ?? [];
    throw new CheckSkippedError(
      `${path}:${line}:${col}: no valid YAML; k3s does not start with it: correct the file`,
    );
  }
  const { contents } = document;
  if (contents === null) return false;
  if (!isMap(contents)) {
    throw new CheckSkippedError(
      `${path}: not "key: value" lines; k3s does not start with it: correct the file`,
    );
  }
  const value = contents.get('embedded-registry');
  return ['boolean', 'string', 'number'].includes(typeof value) && TRUE.test(String(value));
}
