import type { RegistryConfig } from '../../config/options.ts';
import type { SharedChecks } from '../../content/registry-tags.ts';
import { SharedTagChecks } from '../../fanout/tags/shared-tag-checks.ts';
import { TagCoordinators } from '../../fanout/tags/tag-coordinators.ts';
import { TagRoundAnswers } from '../../fanout/tags/tag-round-answers.ts';
import { TagRounds } from '../../fanout/tags/tag-rounds.ts';
import type { QuestionHandler } from '../../routing/questions/question-handler.ts';
import type { Router } from '../../routing/router.ts';
import type { MembershipSettings } from '../membership.ts';

/** Checks of tags that nodes share. Made before the router, which announces that it answers questions. */
export interface TagChecksStage {
  /** Answers the questions of other nodes. */
  readonly questions: QuestionHandler;
  /** Asks the others. */
  readonly sharing: (router: Pick<Router, 'closest' | 'ask' | 'self'>) => SharedChecks;
}

/**
 * Makes what lets one node ask a registry for all.
 *
 * @returns undefined when this node asks no registries, or asks for itself by `--share-tag-checks`
 */
export function tagChecksStage(
  config: Pick<RegistryConfig, 'upstream' | 'share-tag-checks'>,
  { isOpen }: Pick<MembershipSettings, 'isOpen'>,
): TagChecksStage | undefined {
  const mode = config['share-tag-checks'];
  // Only the key of the cluster proves that the answer comes from a member.
  const isShared = mode === 'always' || (mode === 'auto' && !isOpen);
  if (!isShared || config.upstream.length === 0) return undefined;
  const rounds = new TagRounds();
  return {
    questions: new TagRoundAnswers(rounds),
    sharing: (router) =>
      new SharedTagChecks({ coordinators: new TagCoordinators({ router, rounds }) }),
  };
}
