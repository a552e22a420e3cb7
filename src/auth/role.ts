/**
 * @file What one may be allowed to do. No role holds another: an identity has those it is given.
 */

export const roles = ['read', 'write', 'admin'] as const;

/** `read` asks, `write` sends samples, `admin` changes or copies the store as a whole. */
export type Role = (typeof roles)[number];

/**
 * What a request wants of its sender where identities are configured: nothing (probes), to be
 * anyone known, or to have a role.
 */
export type Needs = 'nothing' | 'identity' | Role;

/** Whether `text` names a role. */
export function isRole(text: unknown): text is Role {
  return roles.some((role) => role === text);
}
