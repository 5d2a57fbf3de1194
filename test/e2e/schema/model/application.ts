import { escapeIdentifier, escapeLiteral } from 'pg';
import type { ViewIndexOptions } from '../../../../lib/index.js';
import type { ViewIndexKey } from '../../../../lib/definition/materialized-view-entity.options.js';
import type { TestView } from '../../../support/view-class.js';
import { DeployedNames } from './deployed-names.js';
import { fullName, type Name, plainAbove, quoted } from './names.js';
import { type IndexSpec, NAMES, type Renames, type Step, type ViewSpec } from './steps.js';

/** A view of a release, with its number. */
export interface ReleasedView extends TestView {
  view: number;
  isPlain: boolean;
  securityBarrier?: boolean;
  securityInvoker?: boolean;
  checkOption?: 'local' | 'cascaded' | false;
  /** The view whose class also declares this one: as its live view, or as the same view in another schema. */
  with?: { view: number; as: 'live' | 'tenant' };
  schema: string;
  name: string;
  expression: string;
  columns: string[];
  indexes: ViewIndexOptions[];
  reads: number[];
}

/** The state of the database that limits what a release can declare. */
export interface Surroundings {
  tableColumns: string[];
  /** The views that a hand-made plain view reads. */
  plainViews: ReadonlySet<number>;
  /** The major version of the server. */
  version: number;
}

/** The code of the application. Each change makes the next release. */
export class Application {
  private order: number[] = [];
  private readonly specs = new Map<number, ViewSpec>();
  private readonly placeOf = new Map<number, number>();
  private number = 0;
  /** The renames of the previous release: new name to old name. */
  private lastRenames: ReadonlyMap<string, string> = new Map();
  readonly deployed = new DeployedNames();

  change(step: Step): void {
    this.number++;
    step.changes.forEach(({ view, spec }) => this.specs.set(view, spec));
    this.order = step.order ?? this.order;
    this.rename(step.renames);
    this.lastRenames = this.renamesOf(this.order);
  }

  /** The views that the code declares now. */
  release(surroundings: Surroundings): ReleasedView[] {
    const release = new Map<number, ReleasedView>();
    for (const view of this.order) {
      const found = this.released(view, release, surroundings);
      release.set(view, this.asTenant(found, release) ?? found);
    }
    joinLiveViews(release, (view) => this.specs.get(view)?.isLive === true);
    // An order that is independent of which view reads which.
    return [...release.values()].sort((a, b) => a.view - b.view);
  }

  /** The name that the view has in the next release that declares it. */
  nextNameOf(view: number): Name {
    return NAMES[this.place(view)] ?? NAMES[0];
  }

  /** A view has the name of its own number until it takes that of another view, or one free in code and database. */
  private rename({ views, isCircle }: Renames = { views: [], isCircle: false }): void {
    const renamed = views.filter((view) => this.order.includes(view));
    const places = renamed.map((view) => this.place(view));
    const last = isCircle ? places.at(-1) : this.freePlace();
    if (last !== undefined) {
      renamed.forEach((view, at) => this.placeOf.set(view, places[at - 1] ?? last));
    }
    // The library takes the same exchange, declared twice, for one; so does this.
    const names = [...this.renamesOf(renamed)];
    if (isCircle && names.every(([to, from]) => this.lastRenames.get(to) === from)) {
      renamed.forEach((view, at) => this.placeOf.set(view, places[at] ?? 0));
    }
  }

  private renamesOf(views: number[]): Map<string, string> {
    return new Map(
      views.flatMap((view) => {
        const previous = this.deployed.of(view);
        const name = fullName(NAMES[this.place(view)] ?? NAMES[0]);
        return previous && fullName(previous) !== name ? [[name, fullName(previous)]] : [];
      }),
    );
  }

  private freePlace(): number | undefined {
    const taken = [...Array(NAMES.length - 1).keys()].map((each) => this.place(each));
    const free = NAMES.findIndex(
      (name, place) => !taken.includes(place) && this.deployed.isFree(name),
    );
    return free < 0 ? undefined : free;
  }

  private place(view: number): number {
    return this.placeOf.get(view) ?? view;
  }

  /** The view as a tenant of an earlier view with the same name in another schema, if it can be one. */
  private asTenant(
    { view, schema, name, renamedFrom }: ReleasedView,
    before: ReadonlyMap<number, ReleasedView>,
  ): ReleasedView | undefined {
    const other = [...before.values()].find((each) => each.name === name);
    return other?.renamedFrom === undefined &&
      other?.with === undefined &&
      renamedFrom === undefined &&
      other !== undefined &&
      this.specs.get(view)?.isTenant
      ? { ...other, view, schema, with: { view: other.view, as: 'tenant' } }
      : undefined;
  }

  private released(
    view: number,
    before: ReadonlyMap<number, ReleasedView>,
    surroundings: Surroundings,
  ): ReleasedView {
    const spec = this.specs.get(view);
    if (spec === undefined) {
      throw new Error(`View ${view} was never described`);
    }
    const { schema, name } = this.nextNameOf(view);
    const previous = this.deployed.of(view);
    const { isUpdatable, ...read } = queryOf(spec, [...before.values()], surroundings);
    // A view that reads an unpopulated view cannot be populated.
    const isReadable = read.reads.every((each) => before.get(each)?.withData);
    return {
      view,
      isPlain: spec.isPlain,
      schema,
      name,
      ...read,
      ...(spec.comment !== undefined && { comment: spec.comment }),
      ...(spec.hasVersion && { version: this.number }),
      ...(previous &&
        fullName(previous) !== fullName({ schema, name }) && { renamedFrom: fullName(previous) }),
      ...(spec.isPlain
        ? { ...plainOptions(spec, isUpdatable, surroundings), withData: isReadable }
        : {
            ...storedOptions(spec, callsFunction(read, before)),
            withData: spec.withData && isReadable,
            indexes: spec.indexes.flatMap((index) =>
              indexOf(index, { view, place: `${schema} ${name}`, columns: read.columns }),
            ),
          }),
    };
  }
}

/** A view that PostgreSQL cannot write through may have no check option, not even one set by hand. */
const plainOptions = (
  { securityBarrier, securityInvoker, checkOption }: ViewSpec,
  isUpdatable: boolean,
  { version }: Surroundings,
): Partial<ReleasedView> & { indexes: [] } => ({
  ...(securityBarrier !== undefined && { securityBarrier }),
  ...(securityInvoker !== undefined && version >= 15 && { securityInvoker }),
  ...(isUpdatable ? checkOption !== undefined && { checkOption } : { checkOption: false as const }),
  indexes: [],
});

function withoutOptions(view: ReleasedView): ReleasedView {
  const bare = { ...view };
  delete bare.comment;
  delete bare.version;
  delete bare.securityBarrier;
  delete bare.securityInvoker;
  delete bare.checkOption;
  return bare;
}

/** Declares a plain view as the live view of the view that stores its rows. A live view has no options of its own. */
function joinLiveViews(
  release: Map<number, ReleasedView>,
  isLive: (view: number) => boolean,
): void {
  for (const view of release.values()) {
    const [source = -1] = view.reads;
    const live = release.get(source);
    const isJoined = [...release.values()].some(
      (each) =>
        each.view === live?.with?.view ||
        each.with?.view === live?.view ||
        // Each tenant would need its own live view.
        each.with?.view === view.view,
    );
    if (
      live?.isPlain &&
      !view.isPlain &&
      isLive(view.view) &&
      view.expression === `SELECT * FROM ${quoted(live)}` &&
      live.schema === view.schema &&
      live.renamedFrom === undefined &&
      view.with === undefined &&
      !isJoined
    ) {
      release.set(source, {
        ...withoutOptions(live),
        ...(view.version !== undefined && { version: view.version }),
        with: { view: view.view, as: 'live' },
      });
    }
  }
}

/** Writes to what a function reads are not tracked, so a view that calls one has no `on`. */
const storedOptions = (
  { storage, tablespace, on }: ViewSpec,
  readsInFunction: boolean,
): Partial<ReleasedView> => ({
  ...(storage && { storage }),
  ...(tablespace && { tablespace }),
  ...(on && !readsInFunction && { refresh: { on } }),
});

/** Whether a query calls a function, directly or through a plain view that it reads. */
const callsFunction = (
  { dependsOn, reads }: Pick<Read, 'dependsOn' | 'reads'>,
  before: ReadonlyMap<number, ReleasedView>,
): boolean =>
  dependsOn !== undefined ||
  reads.some((each) => {
    const source = before.get(each);
    return source?.isPlain === true && callsFunction(source, before);
  });

interface Source {
  sql: string;
  columns: string[];
  reads: number[];
  /** Set if the source is a view. */
  name?: Name;
  /** Whether a plain view that reads only this source is updatable. */
  isWritable: boolean;
}

/** The part of a view that depends on what it reads. */
type Read = Pick<ReleasedView, 'expression' | 'columns' | 'reads' | 'dependsOn'> & {
  isUpdatable: boolean;
};

function queryOf(
  spec: ViewSpec,
  before: ReleasedView[],
  { tableColumns, plainViews }: Surroundings,
): Read {
  const table: Source = {
    sql: 'public.items',
    columns: tableColumns,
    reads: [],
    isWritable: true,
  };
  const views = before.map((source): Source =>
    spec.throughPlain && plainViews.has(source.view)
      ? {
          sql: quoted(plainAbove(source.view)),
          columns: ['id'],
          reads: [source.view],
          isWritable: true,
        }
      : {
          sql: quoted(source),
          columns: source.columns,
          reads: [source.view],
          name: source,
          isWritable: source.isPlain,
        },
  );
  const readable = [table, ...views];
  const [left, right] = spec.sources.map(
    (source) => readable[source % readable.length] ?? table,
  ) as [Source, Source];
  const columns = spec.columns.filter((column) => left.columns.includes(column));
  const { modulus } = spec;
  const isUpdatable = left.isWritable;
  switch (spec.shape) {
    case 'star':
      return {
        expression: `SELECT * FROM ${left.sql}`,
        columns: left.columns,
        reads: left.reads,
        isUpdatable,
      };
    case 'join':
      return joinOf(columns, left, right);
    case 'function':
      if (left.name) {
        return {
          expression: `SELECT id FROM public.ids_of(${escapeLiteral(left.sql)}) AS id WHERE id % ${modulus} = 0`,
          columns: ['id'],
          reads: left.reads,
          dependsOn: [fullName(left.name)],
          isUpdatable: false,
        };
      }
      break;
    case 'whole row':
      if (left.name) {
        return {
          expression: `SELECT s.id, s AS whole FROM ${left.sql} s WHERE s.id % ${modulus} = 0`,
          columns: ['id', 'whole'],
          reads: left.reads,
          isUpdatable,
        };
      }
      break;
    case 'group':
      if (left.columns.includes('grp')) {
        return {
          expression: `SELECT grp, min(id) AS id FROM ${left.sql} GROUP BY grp HAVING count(*) > ${modulus}`,
          columns: ['grp', 'id'],
          reads: left.reads,
          isUpdatable: false,
        };
      }
  }
  // A plain view can be replaced in place only if its leading columns stay the same.
  const all = spec.isPlain ? ['id', ...columns] : [...columns, 'id'];
  return {
    expression: `SELECT ${all.join(', ')} FROM ${left.sql} WHERE id % ${modulus} = 0`,
    columns: all,
    reads: left.reads,
    isUpdatable,
  };
}

function joinOf(columns: string[], left: Source, right: Source): Read {
  const others = right.columns.filter((column) => column !== 'id' && !columns.includes(column));
  const list = [...columns.map((each) => `l.${each}`), ...others.map((each) => `r.${each}`)];
  return {
    expression: `SELECT ${['l.id', ...list].join(', ')} FROM ${left.sql} l JOIN ${right.sql} r USING (id)`,
    columns: ['id', ...columns, ...others],
    reads: [...left.reads, ...right.reads],
    isUpdatable: false,
  };
}

/** The first index keeps its name when its view is renamed; the others are named after the view. */
function indexOf(
  { slot, key, withId, isUnique, where, isHash, includesId, storage }: IndexSpec,
  { view, place, columns }: { view: number; place: string; columns: string[] },
): ViewIndexOptions[] {
  const column = columnOf(key);
  if (!columns.includes(column)) {
    return [];
  }
  const name = slot === 0 ? `key of ${view}` : `${place}_${slot}`;
  const others = { ...(where && { where }), ...(storage && { storage }) };
  if (isHash && !isUnique) {
    return [{ name, keys: [column], method: 'hash', ...others }];
  }
  const keys = withId && column !== 'id' ? [key, 'id'] : [key];
  return [
    {
      name,
      keys,
      unique: isUnique && keys.includes('id'),
      ...(includesId && { include: ['id'] }),
      ...others,
    },
  ];
}

function columnOf(key: string | ViewIndexKey): string {
  const { property, expression } = typeof key === 'string' ? { property: key } : key;
  return property ?? (expression === 'lower(grp)' ? 'grp' : 'id');
}

/** The statement that creates a declared index, written independently of the library. */
export function indexSql(index: ViewIndexOptions, table: string): string {
  const { name, keys, unique, where, method = 'btree', include = [], storage = {} } = index;
  const list = keys.map((key) => {
    const { property, expression, collation, operatorClass, order, nulls } =
      typeof key === 'string' ? ({ property: key } as ViewIndexKey) : key;
    return [
      expression === undefined ? escapeIdentifier(property ?? '') : `(${expression})`,
      collation && `COLLATE ${escapeIdentifier(collation)}`,
      operatorClass,
      order,
      nulls && `NULLS ${nulls}`,
    ]
      .filter(Boolean)
      .join(' ');
  });
  const parameters = Object.entries(storage).map(([each, value]) => `${each} = ${String(value)}`);
  return [
    `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ${escapeIdentifier(name)} ON ${table} USING ${method} (${list.join(', ')})`,
    include.length > 0 && `INCLUDE (${include.map(escapeIdentifier).join(', ')})`,
    parameters.length > 0 && `WITH (${parameters.join(', ')})`,
    where && `WHERE ${where}`,
  ]
    .filter(Boolean)
    .join(' ');
}
