import type { WakeUp } from '../definition/module.options.js';
import { captureDifferences, diffCaptures } from '../tracking/capture-diff.js';
import type { CaptureNeeds } from '../tracking/capture-needs.js';
import type { DatabaseState } from './database-state.js';
import type { SchemaDiff } from './schema-diff.js';

/** Adds to a diff what is tracked and should not be, and the other way round. Pure. */
export function withCaptures(
  diff: SchemaDiff,
  needs: CaptureNeeds,
  state: Pick<DatabaseState, 'captured' | 'known' | 'wakeUpTrigger'>,
  { mayNarrow, wakeUp }: { mayNarrow: boolean; wakeUp: WakeUp },
): SchemaDiff {
  return {
    ...diff,
    views: diff.views.map((each) => ({
      ...each,
      differences: [...each.differences, ...captureDifferences(each.view, needs, state, mayNarrow)],
    })),
    captures: diffCaptures(needs, state, wakeUp),
  };
}
