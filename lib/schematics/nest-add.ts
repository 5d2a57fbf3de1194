import {
  addModules,
  materializedViewsModule,
  SCHEDULE_MODULE,
  type ModuleImport,
} from './nest-module-edit.js';
import { missingPackages, type NestManifest } from './nest-packages.js';

/** The part of a `Tree` of @angular-devkit/schematics that is used. `nest add` provides it. */
export interface FileTree {
  exists(path: string): boolean;
  read(path: string): { toString(): string } | null;
  create(path: string, content: string): void;
  overwrite(path: string, content: string): void;
  getDir(path: string): { visit(visitor: (path: string) => void): void };
}

export interface AddContext {
  logger: { info(message: string): void; warn(message: string): void };
}

export interface AddOptions {
  /** @default 'src' */
  sourceRoot?: string;
}

interface Manifest extends NestManifest {
  type?: string;
}

const VIEW_FILE = 'relation-count.view';
const VIEW_CLASS = 'RelationCount';

const TYPEORM_MODULE: ModuleImport = {
  name: 'TypeOrmModule',
  from: '@nestjs/typeorm',
  call: `TypeOrmModule.forRoot({ type: 'postgres', url: process.env.DATABASE_URL, autoLoadEntities: true })`,
};

/** It reads only the catalog, so it boots in any database. */
const VIEW = `import { MaterializedViewEntity } from 'nestjs-materialized-views';
import { Index, ViewColumn } from 'typeorm';

/** An example: replace the query by one of yours. */
@MaterializedViewEntity({
  name: 'relation_count',
  expression: \`
    SELECT relkind::text AS kind, count(*)::int AS relations
    FROM pg_catalog.pg_class
    GROUP BY relkind\`,
  refresh: { cron: '*/10 * * * *' },
})
@Index(['kind'], { unique: true })
export class RelationCount {
  @ViewColumn() kind!: string;
  @ViewColumn() relations!: number;
}
`;

/** `nest add nestjs-materialized-views`: registers the module with a first view in the root module. */
export function nestAdd({ sourceRoot = 'src' }: AddOptions = {}) {
  return (tree: FileTree, { logger }: AddContext): FileTree => {
    const moduleFile = `${sourceRoot}/app.module.ts`;
    const text = tree.read(moduleFile)?.toString() ?? '';
    if (text.includes('MaterializedViewsModule')) {
      logger.info(`${moduleFile} has MaterializedViewsModule already. Nothing was changed.`);
      return tree;
    }
    const manifest = JSON.parse(tree.read('package.json')?.toString() ?? '{}') as Manifest;
    const connects = !hasTypeOrm(tree, sourceRoot);
    const extended = addModules(text, modulesToAdd(manifest, connects))?.written;
    if (extended === undefined) {
      logger.warn(
        `${moduleFile} has no \`@Module\` with \`imports: [\`. Nothing was changed: add ScheduleModule.forRoot() and MaterializedViewsModule.forRoot({ views }) to the imports of your root module.`,
      );
      return tree;
    }
    const viewFile = `${sourceRoot}/${VIEW_FILE}.ts`;
    if (!tree.exists(viewFile)) {
      tree.create(viewFile, VIEW);
    }
    tree.overwrite(moduleFile, extended);
    for (const step of stepsLeft(manifest, connects)) {
      logger.info(step);
    }
    return tree;
  };
}

function modulesToAdd({ type }: Manifest, connects: boolean): ModuleImport[] {
  return [
    ...(connects ? [TYPEORM_MODULE] : []),
    SCHEDULE_MODULE,
    materializedViewsModule(VIEW_CLASS),
    { name: VIEW_CLASS, from: `./${VIEW_FILE}${type === 'module' ? '.js' : ''}` },
  ];
}

/** What the schematic can't do. */
function stepsLeft(manifest: Manifest, connects: boolean): string[] {
  const packages = missingPackages(manifest) ?? [];
  return [
    ...(packages.length > 0 ? [`Install what is missing: npm install ${packages.join(' ')}`] : []),
    ...(connects ? ['Set DATABASE_URL to the PostgreSQL of the application.'] : []),
  ];
}

function hasTypeOrm(tree: FileTree, sourceRoot: string): boolean {
  let found = false;
  tree.getDir(sourceRoot).visit((file) => {
    found ||=
      file.endsWith('.ts') &&
      Boolean(tree.read(file)?.toString().includes('TypeOrmModule.forRoot'));
  });
  return found;
}
