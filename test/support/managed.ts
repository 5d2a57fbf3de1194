import type { TestingModule } from '@nestjs/testing';
import type { ViewDefinition } from '../../lib/definition/view-definition.js';
import type { ViewTarget } from '../../lib/definition/view.registry.js';
import type { ManagedDataSource } from '../../lib/engine/managed-data-source.js';
import { ManagedDataSources } from '../../lib/engine/managed-data-sources.js';

/** The engine of a running application's data source. */
export function managed(app: Pick<TestingModule, 'get'>, name = 'default'): ManagedDataSource {
  return app.get(ManagedDataSources).get(name);
}

/** A running application's definition of a view. */
export function definitionOf(app: Pick<TestingModule, 'get'>, target: ViewTarget): ViewDefinition {
  return app.get(ManagedDataSources).find(target).view;
}
