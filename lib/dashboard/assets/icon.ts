/** Three layers, the uppermost one filled. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke="#4f7df0" stroke-width="2.5" stroke-linejoin="round">
<path d="M16 4 29 11 16 18 3 11Z" fill="#4f7df0"/>
<path d="m3 16 13 7 13-7M3 21l13 7 13-7"/>
</svg>
`;
