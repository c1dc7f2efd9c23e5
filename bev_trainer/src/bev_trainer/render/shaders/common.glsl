// Shared by all programs. Positions are local: world axes, origin near the vehicle, metres.
// #defines: COLOUR, LABELS (what is written), SHADOWS, NIGHT, WET.

layout(std140) uniform View {
    mat4 clip_T_local;
    vec4 eye;           // xyz local; w: extra factor on exposure
    vec4 ray_0;         // local direction with optical z = 1 of a fragment:
    vec4 ray_x;         //   ray_0 + x ray_x + y ray_y, with x, y of gl_FragCoord
    vec4 ray_y;
    vec4 origin;        // xy: world place of the local frame; zw: unused
    vec4 still_map;     // shadows of what stands: place = sheared xy * x + yz; w: half a step
    vec4 moving_map;    // of what moves: place in the texture = sheared xy * xy + zw
    vec4 moving_tile;   // lower and upper bounds of this camera's tile there
    vec4 beam_count;    // x: number of beams
    vec4 beams[18];     // pairs: xyz place and strength, xy direction
};

layout(std140) uniform Light {
    vec4 sun_;          // xyz direction to the sun; w: whether it casts shadows
    vec4 sun_rgb_;      // w: cloud cover
    vec4 sky_rgb_;      // w: exposure
    vec4 bounce_rgb_;   // w: wetness
    vec4 zenith_rgb_;   // w: lamps burn
    vec4 horizon_rgb_;  // w: extinction per metre
    vec4 glow_rgb_;     // w: night
    vec4 shear_;        // xy: way of a shadow on the ground per metre of height
};

const float SHADOW_CEILING = 96.0;  // metres; highest caster

// Filmic curve with the sRGB transfer in it (Hejl and Burgess-Dawson, 2010).
vec3 shown_at(vec3 radiance, float exposure) {
    vec3 x = max(radiance * exposure - 0.004, 0.0);
    return (x * (6.2 * x + 0.5)) / (x * (6.2 * x + 1.7) + 0.06);
}

vec3 shown(vec3 radiance) {
    return shown_at(radiance, sky_rgb_.w * eye.w);
}

float haze_share(float distance_m) {
    return 1.0 - exp2(-1.442695 * horizon_rgb_.w * distance_m);
}

// Sky without clouds in a unit direction; below the horizon it is haze.
vec3 clear_sky(vec3 direction) {
    float up = max(direction.z, 0.0);
    float low = 1.0 - up;
    float haze = low * low;
    haze = haze * haze * (0.35 + 0.65 * low);
    vec3 color = mix(zenith_rgb_.rgb, horizon_rgb_.rgb, haze);
    float to_sun = max(dot(direction, sun_.xyz), 0.0);
    float near = to_sun * to_sun;
    near *= near;
    near *= near;
    return color + glow_rgb_.rgb * (0.30 * near + 0.55 * near * near * near * near);
}

vec3 hazy(vec3 radiance, float distance_m) {
    return mix(radiance, horizon_rgb_.rgb, haze_share(distance_m));
}
