import { HIDDEN } from './secret.ts';

/** Parts of {@link ADDRESS}. */
const HOST = String.raw`(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)`;
const PATH = String.raw`(?:/[A-Za-z0-9._~/-]*)?`;
/** Hosts and URLs without user, query and fragment. A host has a scheme, a dot or a port, or is `localhost`. */
const ADDRESS = new RegExp(
  `^(?:[a-z]{1,10}://${HOST}(?::\\d{1,5})?|${HOST}:\\d{1,5}|[A-Za-z0-9-]+(?:\\.[A-Za-z0-9-]+)+|localhost)${PATH}$`,
);
const USER_INFO = /^([a-z]{1,10}:\/\/)[^/\s]*@/;

/** Whether the text is a host or URL that contains no credentials. */
export function isAddress(text: string): boolean {
  return ADDRESS.test(text);
}

/** An address without its credentials, in quotes, for a message. */
export function showAddress(text: string): string {
  const address = redactAddress(text);
  return address === undefined ? 'this value' : `"${address}"`;
}

/** The address with user, password, query and fragment hidden; undefined if the text is not an address. */
export function redactAddress(text: string): string | undefined {
  const redacted = text.replace(USER_INFO, `$1${HIDDEN}@`).replace(/[?#].*$/s, `?${HIDDEN}`);
  const bare = redacted.replace(`${HIDDEN}@`, '').replace(`?${HIDDEN}`, '');
  return isAddress(bare) ? redacted : undefined;
}
