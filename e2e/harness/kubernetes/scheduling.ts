import type { Machine } from './machine.ts';
import type { PodSpec } from './objects.ts';
import { isSelected } from './service.ts';

/**
 * Whether the pod may run on the node, by its `nodeSelector` and `nodeAffinity`.
 *
 * @throws Error when it has an operator that the test does not know
 */
export function mayRun({ nodeSelector = {}, affinity }: PodSpec, { labels }: Machine): boolean {
  if (!isSelected(nodeSelector, labels)) return false;
  const terms =
    affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  if (terms === undefined) return true;
  return terms.some(({ matchExpressions = [] }) =>
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      switch (operator) {
        case 'Exists':
          return value !== undefined;
        case 'DoesNotExist':
          return value === undefined;
        case 'In':
          return value !== undefined && values.includes(value);
        case 'NotIn':
          return value === undefined || !values.includes(value);
        default:
          throw new Error(`operator ${operator} of a node affinity`);
      }
    }),
  );
}
