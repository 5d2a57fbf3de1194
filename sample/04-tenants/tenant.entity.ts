import type { DataSource } from 'typeorm';
import { Entity, PrimaryColumn } from 'typeorm';

@Entity('tenants', { schema: 'public' })
export class Tenant {
  /** The schema that has the tenant's tables. */
  @PrimaryColumn('text')
  schema!: string;
}

/** The schemas in which each tenant's view is created. Called at boot, by `SchemaService.sync`, and from time to time. */
export async function tenantSchemas(dataSource: DataSource): Promise<string[]> {
  const tenants = await dataSource.getRepository(Tenant).find({ order: { schema: 'ASC' } });
  return tenants.map(({ schema }) => schema);
}
