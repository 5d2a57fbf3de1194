import type { ViewDefinition } from '../../definition/view-definition.js';
import type { IndexDefinition } from '../../postgres/ddl.sql.js';
import type { DeployedView } from '../deployed-view.js';
import { indexPhases } from './index-steps.js';
import type { ViewAspect, ViewMemory } from './view-aspect.js';

export type IndexDifference =
  /** `isUnfit`: it doesn't fit the view's present columns. */
  | { kind: 'index-missing'; index: IndexDefinition; isUnfit?: boolean }
  | { kind: 'index-changed'; index: IndexDefinition }
  /** It exists under the name that it had in another release. */
  | { kind: 'index-renamed'; index: IndexDefinition; from: string }
  /** Created by the library and no longer declared. */
  | { kind: 'index-superfluous'; name: string };

/** The declared indexes, and those that an earlier release declared. */
export const indexAspect: ViewAspect<IndexDifference> = {
  kinds: ['index-missing', 'index-changed', 'index-renamed', 'index-superfluous'],
  diff: (view, deployed, memory) => [
    ...(memory.comparison?.changedIndexes ?? []).map(
      (index) => ({ kind: 'index-changed', index }) as const,
    ),
    ...arrivalsAndDepartures(view, deployed, memory),
  ],
  right: (difference) =>
    difference.kind === 'index-missing' && !difference.isUnfit ? 'create' : 'change',
  phases: (difference, { view, deployed, names }) =>
    indexPhases(view, deployed, { difference, names }),
  describe: (difference) => {
    switch (difference.kind) {
      case 'index-missing':
        return `index "${difference.index.name}" is missing${difference.isUnfit ? ', and the view does not have the columns for it' : ''}`;
      case 'index-changed':
        return `index "${difference.index.name}" changed`;
      case 'index-renamed':
        return `index "${difference.index.name}" is still "${difference.from}"`;
      case 'index-superfluous':
        return `index "${difference.name}" is no longer declared`;
    }
  },
};

function arrivalsAndDepartures(
  view: ViewDefinition,
  deployed: DeployedView,
  { comparison, ownIndexes }: ViewMemory,
): IndexDifference[] {
  const { renamedIndexes: renamed = [], unfitIndexes: unfit = [] } = comparison ?? {};
  const arriving = new Set(renamed.map(({ index }) => index.name));
  const leaving = new Set(renamed.map(({ from }) => from));
  const present = new Set(deployed.indexes.map(({ name }) => name));
  const declared = new Set(view.indexes.map(({ name }) => name));
  return [
    ...view.indexes
      .filter(({ name }) => !present.has(name) && !arriving.has(name))
      .map((index) => ({
        kind: 'index-missing' as const,
        index,
        ...(unfit.includes(index.name) && { isUnfit: true }),
      })),
    ...renamed.map((each) => ({ kind: 'index-renamed' as const, ...each })),
    ...ownIndexes
      .filter((name) => present.has(name) && !declared.has(name) && !leaving.has(name))
      .map((name) => ({ kind: 'index-superfluous' as const, name })),
  ];
}
