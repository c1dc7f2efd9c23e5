// Light that reaches a point: sun through shadow maps, street lamps, headlights.

#if SHADOWS
uniform sampler2DShadow still_shadows;
#if MOVING_SHADOWS
uniform sampler2DShadow moving_shadows;
#endif

// 1 in the sun. Shadow maps are sheared along the sun onto the ground: a point's place in them is
// that of its shadow, their depth is height from above.
float sunlit(vec3 p) {
    float depth = 1.0 - (p.z + 0.004) / SHADOW_CEILING;
    vec2 ground = p.xy - shear_.xy * p.z;
    vec2 still = ground * still_map.x + still_map.yz;
    float open = textureLod(still_shadows, vec3(still, depth), 0.0);
#if MOVING_SHADOWS
    vec2 moving = ground * moving_map.xy + moving_map.zw;
    if (all(greaterThan(moving, moving_tile.xy)) && all(lessThan(moving, moving_tile.zw)))
        open *= textureLod(moving_shadows, vec3(moving, depth), 0.0);
#endif
    return open;
}
#endif

#if NIGHT
uniform sampler2D lamp_map;  // street lamps' light on the ground, R: warm light
uniform vec4 lamp_window;    // xy: lower edge, world; zw: 1 / size

vec3 lamplight(vec3 point, vec3 normal) {
    vec2 place = (point.xy + origin.xy + normal.xy * 1.5 - lamp_window.xy) * lamp_window.zw;
    float up = 0.45 + 0.55 * normal.z;
    float fade = clamp(1.15 - point.z * 0.14, 0.0, 1.0);
    return vec3(1.0, 0.72, 0.42) * (textureLod(lamp_map, place, 0.0).r * up * fade);
}

// Headlights: a flat fan ahead of each lamp pair, bright where it meets the road.
vec3 beamlight(vec3 point, vec3 normal, int first, int last) {
    float total = 0.0;
    for (int i = first; i < last; i++) {
        vec4 place = beams[2 * i];
        vec2 ahead = beams[2 * i + 1].xy;
        vec3 way = point - place.xyz;
        float along = dot(way.xy, ahead);
        float across = dot(way.xy, vec2(-ahead.y, ahead.x));
        float far = max(along, 0.6);
        float fan = across / (0.9 + 0.42 * far);
        float rise = (way.z + 0.012 * far) / (0.25 + 0.085 * far);
        float shape = exp2(-1.6 * fan * fan - 1.2 * max(rise, 0.0) * rise - 0.1 * rise * rise);
        float facing = 0.10 + 0.90 * clamp(-dot(normal, way) * inversesqrt(dot(way, way)), 0.0, 1.0);
        total += place.w * shape * facing * smoothstep(0.2, 2.0, along) / (3.0 + 0.10 * far * far);
    }
    return vec3(1.0, 0.96, 0.88) * total;
}

// Headlights in a wet road: long streaks towards the eye, as ripples tilt the mirror.
vec3 beammirror(vec3 point, vec3 bounced, int first, int last) {
    float total = 0.0;
    for (int i = first; i < last; i++) {
        vec4 place = beams[2 * i];
        vec3 way = place.xyz - point;
        float per_far = inversesqrt(dot(way, way));
        float aside = (way.x * bounced.y - way.y * bounced.x) * per_far;
        float rise = way.z * per_far - bounced.z;
        float towards = clamp(-dot(way.xy, beams[2 * i + 1].xy) * per_far, 0.0, 1.0);
        float ahead = step(0.0, dot(way.xy, bounced.xy));
        total += ahead * towards * place.w * exp2(-1400.0 * aside * aside - 45.0 * rise * rise);
    }
    return vec3(1.0, 0.96, 0.88) * (0.10 * total);
}
#endif
