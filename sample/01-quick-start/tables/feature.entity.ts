import { Column, Entity, PrimaryColumn } from 'typeorm';
import { SCHEMA } from './schema.constants.js';

@Entity({ schema: SCHEMA, name: 'feature' })
export class Feature {
  @PrimaryColumn('int')
  id!: number;

  /** For example `css.selectors.has`. */
  @Column('text', { unique: true })
  path!: string;

  /** The first part of the path: `api`, `css`, `html`, `javascript`, ... */
  @Column('text')
  area!: string;
}
