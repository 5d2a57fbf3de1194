import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { displayNames } from '../postgres/identifier.js';
import type { DatabaseState } from './database-state.js';

/**
 * The views whose refreshes block readers because a unique index is missing, although they aren't declared to
 * block.
 */
export function withoutUsableKey(
  views: readonly ViewDefinition[],
  state: DatabaseState,
): ViewDefinition[] {
  return views.filter((view) => {
    const deployed = state.views.get(viewName(view));
    const isMeant = view.refresh.mode === 'swap' || view.refresh.mode === 'blocking';
    return (
      deployed?.kind.storesRows === true &&
      view.kind.storesRows &&
      !isMeant &&
      !deployed.indexes.some((index) => index.is_usable_key)
    );
  });
}

/** For the log. */
export function describeWithoutKey(views: readonly ViewDefinition[]): string {
  return `Each refresh blocks the readers of ${displayNames(views.map(({ name }) => name))}: there is no unique index that PostgreSQL can use to refresh concurrently. Declare one on plain columns, without a predicate, or set \`refresh.mode\` to 'swap' or, where that is meant, to 'blocking'.`;
}
