import { isAlias, isNode, visit, type Alias, type Document, type Node } from 'yaml';

import type { SourceText } from './source-text.ts';

/** The node that each alias of a document stands for. */
export type AliasTargets = ReadonlyMap<Alias, Node>;

/**
 * Finds the node that each alias stands for: the last one above it with the anchor's name. Reports an alias without an anchor,
 * and one within its own anchor. k3s refuses a file with either.
 *
 * @see YAML 1.2, "Alias Nodes"
 */
export function aliasTargets(document: Document.Parsed, source: SourceText): AliasTargets {
  const anchors = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  visit(document, (_, node, path) => {
    if (!isNode(node)) return;
    if (!isAlias(node)) {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
      return;
    }
    const target = anchors.get(node.source);
    if (target !== undefined && !path.includes(target)) {
      targets.set(node, target);
      return;
    }
    const message =
      target === undefined
        ? 'no anchor above has the name of this alias; text that begins with a star needs quotes'
        : 'this alias is within its own anchor';
    source.add({ code: 'alias', at: node.range?.[0] ?? 0, message, fatal: true });
  });
  return targets;
}

/** Whether there is an anchor in the node, so that its content may be meant for other places. */
export function holdsAnchor(node: Node | undefined): boolean {
  let found = false;
  if (node === undefined) return found;
  visit(node, (_, each) => {
    if (!isNode(each) || isAlias(each) || each.anchor === undefined) return undefined;
    found = true;
    return visit.BREAK;
  });
  return found;
}
