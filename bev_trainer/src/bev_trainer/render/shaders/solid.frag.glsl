#include outputs.glsl
#if COLOUR
#include lit.glsl
in vec3 f_point;
in vec3 f_normal;
in vec4 f_light;
flat in vec4 f_paint;
flat in vec3 f_glow;
#endif
#if LEAVES
in vec3 f_crown;
uniform sampler2D noise_map;
#endif
flat in vec4 f_label;

void main() {
#if COLOUR
    vec3 ray = f_point - eye.xyz;
    float per_length = inversesqrt(dot(ray, ray));
    float distance_m = 1.0 / per_length;
    ray *= per_length;
    vec3 n = f_normal;
    vec3 light = f_light.rgb;
#if SHADOWS
    float sun = f_light.a;
    if (sun > 0.0) sun *= sunlit(f_point + 0.10 * n);
    light += sun_rgb_.rgb * sun;
#endif
#if NIGHT
    light += lamplight(f_point, n) + beamlight(f_point, n, 0, 1);
#endif
    vec3 base = f_paint.rgb;
#if LEAVES
    vec2 speckle = textureLod(noise_map, f_crown.xz * 0.21 + f_crown.yy * 0.13, 0.0).rg;
    base *= 0.45 + 1.1 * speckle.r * (0.6 + 0.8 * speckle.g);
    vec3 color = base * light;
#else
    float facing = clamp(-dot(ray, n), 0.0, 1.0);
    float edge = 1.0 - facing;
    edge *= edge;
    edge *= edge * (1.0 - facing);
    float gloss = f_paint.a;
    float mirror = gloss * (0.045 + 0.75 * edge);
    vec3 bounced = ray + 2.0 * facing * n;
    // Above the skyline of houses and trees a reflection is sky, below it is dark street.
    float skyline = smoothstep(-0.02, 0.30, bounced.z);
    vec3 around = mix(bounce_rgb_.rgb * 0.5, mix(horizon_rgb_.rgb, zenith_rgb_.rgb, max(bounced.z, 0.0)), skyline);
    vec3 color = base * light * (1.0 - mirror) + around * mirror;
#if SHADOWS
    float spot = max(dot(bounced, sun_.xyz), 0.0);
    spot *= spot; spot *= spot; spot *= spot; spot *= spot; spot *= spot;
    color += sun_rgb_.rgb * (spot * spot * gloss * 1.2 * step(0.001, sun));
#endif
    color += f_glow;
#endif
    out_color = vec4(shown(hazy(color, distance_m)), 1.0);
#endif
#if LABELS
    out_label = vec4(f_label.xyz, 0.0);
    out_depth = 1.0 / gl_FragCoord.w;
#endif
}
