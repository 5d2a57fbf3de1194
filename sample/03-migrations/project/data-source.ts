import path from 'node:path';
import { DataSource } from 'typeorm';

/** For the commands `typeorm` and `matviews`. The application uses the same options. */
export const dataSource = new DataSource({
  type: 'postgres',
  url: process.env.DATABASE_URL,
  schema: 'sample_migrations',
  entities: [path.join(import.meta.dirname, '*.{entity,view}.ts')],
  migrations: [path.join(import.meta.dirname, 'migrations', '*.ts')],
});
