import { InvalidDefinitionError } from '../errors/usage.errors.js';
import type { IndexDefinition } from '../postgres/ddl.sql.js';
import { decoratorOf, getViewKind, type ViewOptions } from './definition-metadata.accessor.js';
import type { ViewClass } from './view-class.js';
import type { ViewDefinition } from './view-definition.js';

/** The declared parameters of a plain view, as the catalog calls them. */
export function viewParameters({
  securityInvoker,
  securityBarrier,
  checkOption,
}: ViewOptions): ViewDefinition['storage'] {
  const declared = {
    ...(securityInvoker !== undefined && { security_invoker: securityInvoker }),
    ...(securityBarrier !== undefined && { security_barrier: securityBarrier }),
    ...(checkOption !== undefined && { check_option: checkOption }),
  };
  return Object.keys(declared).length === 0 ? undefined : declared;
}

/**
 * A plain view has no rows to index.
 *
 * @throws InvalidDefinitionError
 */
export function refuseIndexes(target: ViewClass, [index]: IndexDefinition[]): void {
  if (index !== undefined && !getViewKind(target).storesRows) {
    throw new InvalidDefinitionError(
      `${decoratorOf(target)}: expected no index, because a plain view has no rows of its own, got "${index.name}".`,
      {
        hint: 'Remove @Index and @Unique from the class, or declare it with @MaterializedViewEntity.',
      },
    );
  }
}
