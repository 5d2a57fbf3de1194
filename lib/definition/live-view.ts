import { InvalidDefinitionError } from '../errors/usage.errors.js';
import { displayName, identifierProblem, type QualifiedName } from '../postgres/identifier.js';
import { selectAll } from '../postgres/view-ddl.sql.js';
import { PLAIN } from '../postgres/view-kind.js';
import { decoratorOf, type ViewOptions } from './definition-metadata.accessor.js';
import { refreshPolicy } from './refresh-policy.js';
import type { ViewDefinition } from './view-definition.js';

/**
 * A materialized view and, if it declares one, the plain view with its query: each after what it reads.
 *
 * @throws InvalidDefinitionError if the plain view can't have the name
 */
export function withLiveView(
  view: ViewDefinition,
  { liveView = false }: ViewOptions,
): ViewDefinition[] {
  if (liveView === false) {
    return [view];
  }
  const nameOf = ({ schema, name }: QualifiedName): QualifiedName => ({
    schema,
    name: liveViewName(name, { liveView }) ?? name,
  });
  const live: ViewDefinition = {
    target: view.target,
    kind: PLAIN,
    isLive: true,
    name: nameOf(view.name),
    query: view.query,
    columns: view.columns,
    indexes: [],
    withData: true,
    dependsOn: view.dependsOn,
    // With a name of its own, it is not renamed together with the other.
    renamedFrom: liveView === true && view.renamedFrom ? nameOf(view.renamedFrom) : undefined,
    version: view.version,
    refresh: refreshPolicy(),
  };
  refuseName(view, live);
  return [live, { ...view, query: selectAll(live.name), dependsOn: [] }];
}

/** The name of the plain view beside a materialized one; `undefined` if there is none. */
export function liveViewName(
  name: string,
  { liveView = false }: Pick<ViewOptions, 'liveView'>,
): string | undefined {
  return liveView === true ? `${name}_live` : liveView || undefined;
}

function refuseName({ target, name }: ViewDefinition, live: ViewDefinition): void {
  const problem =
    displayName(live.name) === displayName(name)
      ? 'it is that of the view itself'
      : identifierProblem(live.name.name);
  if (problem !== undefined) {
    throw new InvalidDefinitionError(
      `${decoratorOf(target)}: expected \`liveView\` to give another name that PostgreSQL doesn't truncate (${problem}), got "${live.name.name}".`,
    );
  }
}
