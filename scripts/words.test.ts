import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const root = join(import.meta.dirname, '..');

/** Coined terms of the past, and the term of the field that replaces each (docs/GLOSSARY.md). */
const REPLACED: readonly (readonly [RegExp, string])[] = [
  [/\bhold-?back\b|\bheld back\b|\bheldBack\b|\bholdBack/i, 'verified buffer, store-and-forward'],
  [/\bpassed on\b/i, 'cut-through, forwarded'],
  [/\bpieces?\b/i, 'chunk, range, segment or descriptor'],
  [
    /\bjudges?\b|\bverdicts?\b|\bvouch(?:es|ed|ing)?\b|\bpatrols?\b/i,
    'integrity checker, result, verified at commit, scrubber',
  ],
  [
    /\btrials?\b|\bconvict|\bsuspects?\b|\boffences?\b|\binnocent\b|\benquir/i,
    'commit watch, attribution, re-verification, mismatch',
  ],
  [/\bnobody\b|\bsomebody\b/i, 'name who acts'],
  [/\b(?:LEAST|MOST|SLOWEST)_[A-Z]/, 'MIN_, MAX_'],
  [/\bREPLICATION\b|\bkeepers of\b/, 'K, closest peers'],
  [/\bset aside\b|\bgive(?:s|n)? back\b|\bgave back\b/i, 'back up, restore'],
  [/\bunasked\b/i, 'unsolicited'],
  [/\bWhat (?:an? )?\{@link \w+\} works? with/i, 'what each is needed for, or no comment'],
];

/** Names that users, dashboards and older versions know; they stay, in the files that need them. */
const KEPT: readonly RegExp[] = [
  /(?:--|')hold-back-(?:size|memory)/g,
  // The file in the data directory, its first line, and a key of /debug/status.
  /'verdicts(?:\.tmp|\.json)?'|`verdicts`|peerglass-verdicts|\|verdicts\(|\bverdicts: results\.size/g,
  // The type of an arbiter's answer.
  /\bVerdict\b/g,
  // Fields of the log, and keys of /debug/status.
  /\bverdict: outcome|\boffences(?=[:,\]]| \}\)?)/g,
];

describe('the words of agent/', () => {
  it('are the terms of the field, not the coined ones they replaced', () => {
    const found: string[] = [];
    for (const file of globSync('agent/**/*.ts', { cwd: root })) {
      const lines = readFileSync(join(root, file), 'utf8').split('\n');
      for (const [index, line] of lines.entries()) {
        const rest = KEPT.reduce((text, name) => text.replaceAll(name, ''), line);
        for (const [term, instead] of REPLACED) {
          const match = term.exec(rest)?.[0];
          if (match !== undefined)
            found.push(`${file}:${index + 1}: "${match}": ${instead}: ${line.trim()}`);
        }
      }
    }
    assert.deepEqual(found, []);
  });
});
