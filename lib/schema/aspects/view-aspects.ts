import type { ViewDefinition } from '../../definition/view-definition.js';
import type { DeployedView } from '../deployed-view.js';
import { inPhases, type PlanPhases } from '../plan-phases.js';
import { commentAspect } from './comment.aspect.js';
import { indexAspect } from './index.aspect.js';
import { byKind, type DifferenceOf } from './kinds.js';
import { storageAspect } from './storage.aspect.js';
import { tablespaceAspect } from './tablespace.aspect.js';
import type { StayingView, ViewAspect, ViewMemory } from './view-aspect.js';

const ASPECTS = [
  indexAspect,
  storageAspect,
  tablespaceAspect,
  commentAspect,
] as const satisfies readonly ViewAspect[];

/** A difference found by any of a view's aspects. */
export type ViewAspectDifference = DifferenceOf<(typeof ASPECTS)[number]>;

const BY_KIND = byKind<ViewAspect>(ASPECTS);

/** How an existing view compares with its declaration, apart from its rows. */
export function compareView(
  view: ViewDefinition,
  deployed: DeployedView,
  memory: ViewMemory,
): ViewAspectDifference[] {
  return ASPECTS.flatMap((aspect): ViewAspectDifference[] => aspect.diff(view, deployed, memory));
}

/** The view aspect that a difference belongs to. */
export function viewAspectOf({ kind }: { kind: string }): ViewAspect | undefined {
  return BY_KIND.get(kind);
}

/** The steps that change a view in place. */
export function alterPhases(
  differences: readonly { kind: string }[],
  staying: StayingView,
): PlanPhases {
  return inPhases(
    ...differences.map((difference) => viewAspectOf(difference)?.phases(difference, staying) ?? {}),
  );
}
