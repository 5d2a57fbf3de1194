import { DepGraph } from 'dependency-graph';
import type { ViewDefinition } from '../definition/view-definition.js';
import type { QualifiedName } from '../postgres/identifier.js';
import type { CatalogEdgeRow, InspectedViewRow } from '../postgres/introspection.sql.js';
import type { CatalogObject } from './inspected-view.js';

const KINDS: Record<string, CatalogObject['kind']> = {
  m: 'materialized-view',
  v: 'view',
  function: 'function',
};

/** The position of something in the graph of everything that views and functions read. */
export interface Place {
  dependencies: CatalogObject[];
  allDependencies: CatalogObject[];
  dependents: CatalogObject[];
  allDependents: CatalogObject[];
}

/** What reads what in a database. By OID, because names with dots or parentheses could be confused. */
export class CatalogGraph {
  /** Replacing a plain view can create a circle. */
  private readonly graph = new DepGraph<CatalogObject>({ circular: true });
  private readonly order: ReadonlyMap<string, number>;

  constructor(
    private readonly views: readonly InspectedViewRow[],
    edges: readonly CatalogEdgeRow[],
    definitions: readonly ViewDefinition[],
  ) {
    for (const edge of edges) {
      this.graph.addNode(edge.dependent_key, dependentOf(edge));
      this.graph.addNode(edge.source_key, sourceOf(edge));
      this.graph.addDependency(edge.dependent_key, edge.source_key);
    }
    for (const view of views) {
      const { schema_name: schema, view_name: name, relation_kind: kind } = view;
      this.graph.addNode(view.key, { kind: KINDS[kind] ?? 'table', schema, name });
    }
    this.addDeclared(definitions);
    this.order = new Map(this.graph.overallOrder().map((key, position) => [key, position]));
  }

  /** The views, each after everything that it reads. */
  ordered(): InspectedViewRow[] {
    return [...this.views].sort((one, other) => this.rank(one.key) - this.rank(other.key));
  }

  placeOf(view: InspectedViewRow): Place {
    const key = view.key;
    return {
      dependencies: this.objects(key, this.graph.directDependenciesOf(key)),
      allDependencies: this.objects(key, this.graph.dependenciesOf(key)),
      dependents: this.objects(key, this.graph.directDependentsOf(key)),
      allDependents: this.objects(key, this.graph.dependentsOf(key)),
    };
  }

  /** What classes declare about functions whose bodies PostgreSQL can't read. */
  private addDeclared(definitions: readonly ViewDefinition[]): void {
    const declaring = definitions.filter(({ dependsOn }) => dependsOn.length > 0);
    if (declaring.length === 0) {
      return;
    }
    const keys = this.relationKeys();
    for (const { name, dependsOn } of declaring) {
      const dependent = keys.get(nameKey(name));
      for (const source of dependsOn.map((each) => keys.get(nameKey(each)))) {
        if (dependent !== undefined && source !== undefined && source !== dependent) {
          this.graph.addDependency(dependent, source);
        }
      }
    }
  }

  private relationKeys(): Map<string, string> {
    const relations = this.graph
      .overallOrder()
      .map((key) => ({ key, object: this.graph.getNodeData(key) }))
      .filter(({ object }) => object.kind !== 'function');
    return new Map(relations.map(({ key, object }) => [nameKey(object), key]));
  }

  private objects(of: string, keys: string[]): CatalogObject[] {
    return keys
      .filter((key) => key !== of)
      .sort((one, other) => this.rank(one) - this.rank(other))
      .map((key) => this.graph.getNodeData(key));
  }

  private rank(key: string): number {
    return this.order.get(key) ?? 0;
  }
}

/** The views that the application declares, by their names in the catalog. */
export function declaredKeys(definitions: readonly ViewDefinition[]): ReadonlySet<string> {
  return new Set(definitions.map(({ name }) => nameKey(name)));
}

/** A unique key: `schema.name` isn't unique if names contain dots. */
export function nameKey({ schema, name }: QualifiedName): string {
  return JSON.stringify([schema, name]);
}

function dependentOf(edge: CatalogEdgeRow): CatalogObject {
  return {
    kind: KINDS[edge.dependent_kind] ?? 'table',
    schema: edge.dependent_schema,
    name: edge.dependent_name,
  };
}

function sourceOf(edge: CatalogEdgeRow): CatalogObject {
  return {
    kind: KINDS[edge.source_kind] ?? 'table',
    schema: edge.source_schema,
    name: edge.source_name,
  };
}
