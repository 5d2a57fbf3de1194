import {
  Column,
  Entity,
  Index,
  JoinColumn,
  ManyToOne,
  PrimaryColumn,
  type Relation,
} from 'typeorm';
import { Feature } from './feature.entity.js';
import { Release } from './release.entity.js';
import { SCHEMA } from './schema.constants.js';

/**
 * One browser's support for one feature. A browser may have several statements about a feature.
 *
 * No foreign keys to features and releases: checking them for each row would double the loading time.
 */
@Entity({ schema: SCHEMA, name: 'support_statement' })
@Index('support_statement_browser', ['browserId'])
@Index('support_statement_feature', ['featureId'])
export class SupportStatement {
  @PrimaryColumn('int')
  id!: number;

  @Column('int', { name: 'feature_id' })
  featureId!: number;

  @Column('text', { name: 'browser_id' })
  browserId!: string;

  /** The release that added support; `null` if there is none, or only in a preview. */
  @Column('text', { name: 'version_added', nullable: true })
  versionAdded!: string | null;

  /** Whether it works for everyone from that release on: complete, no flag, no prefix, not removed. */
  @Column('boolean', { name: 'is_full' })
  isFull!: boolean;

  @ManyToOne(() => Feature, { createForeignKeyConstraints: false })
  @JoinColumn({ name: 'feature_id' })
  feature?: Relation<Feature>;

  @ManyToOne(() => Release, { createForeignKeyConstraints: false })
  @JoinColumn([
    { name: 'browser_id', referencedColumnName: 'browserId' },
    { name: 'version_added', referencedColumnName: 'version' },
  ])
  release?: Relation<Release>;
}
