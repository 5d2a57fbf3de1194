import { Column, Entity, PrimaryColumn } from 'typeorm';
import { SCHEMA } from './schema.constants.js';

@Entity({ schema: SCHEMA, name: 'browser' })
export class Browser {
  /** For example `firefox_android`. */
  @PrimaryColumn('text')
  id!: string;

  /** For example `Firefox for Android`. */
  @Column('text')
  name!: string;

  /** `desktop`, `mobile`, `xr` or `server`. */
  @Column('text')
  type!: string;
}
